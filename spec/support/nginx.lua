--- Runs a real nginx with its Lua module, in a fresh folder and on a free port; it ends with the tests that started it.

local cqueues = require "cqueues"
local cs = require "cqueues.socket"
local files = require "spec.support.files"

local quote, read_file, write_file, lines_of = files.quote, files.peek, files.write, files.lines_of

local nginx = {}

local PATIENCE = 20 -- seconds
local POLL = 0.01

--- A port of the loopback interface that nobody listens on.
function nginx.free_port()
  local listener = assert(cs.listen { host = "127.0.0.1", port = 0 })
  assert(listener:listen())
  local _, _, port = listener:localname()
  listener:close()
  return port
end

--- Looks again and again until `condition` returns something, and returns it.
---@param what string for the error when it never does
---@param condition fun(): any
function nginx.eventually(what, condition)
  local deadline = cqueues.monotime() + PATIENCE
  repeat
    local found = condition()
    if found then return found end
    cqueues.sleep(POLL)
  until cqueues.monotime() > deadline
  error(what .. ": not within " .. PATIENCE .. " seconds", 2)
end

-- Where nginx's modules are: Debian's are loaded at run time, OpenResty's own nginx has them inside.
local function load_modules()
  local pipe = assert(io.popen("nginx -V 2>&1", "r"))
  local folder = pipe:read("*a"):match("%-%-modules%-path=(%S+)") or ""
  pipe:close()
  local parts = {}
  for _, name in ipairs { "ndk_http_module", "ngx_http_lua_module" } do
    local path = folder .. "/" .. name .. ".so"
    if read_file(path) ~= "" then parts[#parts + 1] = ("load_module %s;"):format(path) end
  end
  return table.concat(parts, " ")
end

local is_root = lines_of("id -u")[1] == "0"

--- Whether there is an nginx with the Lua module to test with.
function nginx.is_there()
  return os.execute("command -v nginx >/dev/null 2>&1") and load_modules() ~= ""
end

local http_head = [[
  access_log off;
  client_body_temp_path client_body_temp;
  proxy_temp_path proxy_temp;
  fastcgi_temp_path fastcgi_temp;
  uwsgi_temp_path uwsgi_temp;
  scgi_temp_path scgi_temp;
  lua_package_path "$prefix/lua/?.lua;$prefix/lua/?/init.lua;;";
  lua_package_cpath "$prefix/build/jit/?.so;;";
]]

local function configuration(options, port)
  local lines = { ("worker_processes %d;"):format(options.workers or 2), "pid nginx.pid;", "error_log stderr notice;" }
  for name in pairs(options.env or {}) do lines[#lines + 1] = ("env %s;"):format(name) end
  lines[#lines + 1] = ("events { worker_connections %d; }"):format(options.connections or 1024)
  lines[#lines + 1] = "http {\n" .. http_head .. (options.http or "")
  lines[#lines + 1] = ("server {\n  listen 127.0.0.1:%d;\n%s\n}\n}\n"):format(port, options.server or "")
  return table.concat(lines, "\n")
end

-- The shell that runs it ends it when this process is gone: then the other end of its standard input is closed.
local script = [[
%s
exec 3<&0
nginx %s </dev/null >/dev/null 2>%s 3<&- &
nginx=$!
echo $nginx >%s
( cat <&3 >/dev/null; kill $nginx ) >/dev/null 2>&1 &
watch=$!
wait $nginx
echo $? >%s
kill $watch 2>/dev/null
]]

local Nginx = {}
Nginx.__index = Nginx

---@class spec.nginx.options
---@field http? string directives of the http block
---@field server? string directives of the server block
---@field example? string a complete configuration of the repository instead, its folder below examples/
---@field workers? integer 2
---@field connections? integer of a worker, 1024
---@field env? table<string, string> the environment of nginx, passed on to its workers

--- Starts it and waits until it answers.
---@param options spec.nginx.options
function nginx.start(options)
  local home = lines_of("mktemp -d")[1]
  local root = lines_of("pwd")[1]
  local self = setmetatable({ home = home, port = nginx.free_port(), prefix = home }, Nginx)
  if options.example then self.prefix = home .. "/examples/" .. options.example end
  self.log_path, self.status_path = home .. "/error.log", home .. "/status"
  os.execute(("mkdir -p %s %s/build && ln -s %s/lua %s/ && ln -s %s/%s %s/build/jit"):format(quote(self.prefix),
    quote(home), quote(root), quote(home), quote(root), os.getenv "JIT_BUILD" or "build/jit", quote(home)))
  self.configuration_path = self.prefix .. "/nginx.conf"
  if options.example then
    local text = read_file(("examples/%s/nginx.conf"):format(options.example))
    write_file(self.configuration_path, (text:gsub("listen 127%.0%.0%.1:%d+", "listen 127.0.0.1:" .. self.port)))
  else
    write_file(self.configuration_path, configuration(options, self.port))
  end
  local globals = ("daemon off; %s %s"):format(is_root and "user root;" or "", load_modules())
  self.words = ("-p %s/ -c %s -g %s"):format(quote(self.prefix), quote(self.configuration_path), quote(globals))

  local exports = {}
  for name, value in pairs(options.env or {}) do exports[#exports + 1] = ("export %s=%s"):format(name, quote(value)) end
  write_file(home .. "/run", script:format(table.concat(exports, "\n"), self.words, quote(self.log_path),
    quote(home .. "/pid"), quote(self.status_path)))
  self.pipe = assert(io.popen("sh " .. quote(home .. "/run"), "w"))
  local ok, problem = pcall(nginx.eventually, "nginx answers", function()
    return self:status() or pcall(self.get, self, "/")
  end)
  if not ok or self:status() then
    local log = self:log()
    self:stop()
    error(("nginx did not start: %s\n%s"):format(tostring(problem), log), 2)
  end
  self.master = tonumber(read_file(home .. "/pid"))
  return self
end

--- What it wrote to its error log.
function Nginx:log() return read_file(self.log_path) end

--- The lines of the error log that tell of a crash or of an error in Lua code.
function Nginx:alarms()
  local found = {}
  for line in self:log():gmatch("[^\n]+") do
    local bad = line:find("%[alert%]") or line:find("%[emerg%]") or line:find("%[crit%]") or line:find("%[error%]")
      or line:find("exited on signal")
    if bad then found[#found + 1] = line end
  end
  return found
end

--- Sends a signal by `nginx -s`: reload, quit, stop.
function Nginx:signal(name) os.execute(("nginx -s %s %s 2>/dev/null"):format(name, self.words)) end

--- Its exit status, nil while it runs.
function Nginx:status() return tonumber(read_file(self.status_path)) end

--- Waits for its end and returns the exit status.
function Nginx:finish()
  return nginx.eventually("nginx ends", function() return self:status() end)
end

--- The ids of the worker processes, those that are about to end included.
function Nginx:workers()
  local ids = {}
  for _, id in ipairs(lines_of(("cat /proc/%d/task/*/children 2>/dev/null"):format(self.master))) do
    for word in id:gmatch("%d+") do ids[#ids + 1] = tonumber(word) end
  end
  table.sort(ids)
  return ids
end

--- How many threads and how many open descriptors a process has.
function nginx.count(pid)
  local function entries(folder) return #lines_of(("ls /proc/%d/%s 2>/dev/null"):format(pid, folder)) end
  return { threads = entries "task", descriptors = entries "fd" }
end

--- Whether a file whose name holds `text` is mapped into the process.
function nginx.has_mapped(pid, text) return read_file(("/proc/%d/maps"):format(pid)):find(text, 1, true) ~= nil end

--- Ends it, and removes its folder. A second call does nothing.
function Nginx:stop()
  if not self.pipe then return end
  self.pipe:close()
  self.pipe = nil
  os.execute("rm -rf " .. quote(self.home))
end

local function quiet(_, _, why) return why end

--- Sends one request, and returns { status, headers (names in lower case), body }; in a coroutine of cqueues' others go
--- on meanwhile.
---@param path string
---@param method? string
function Nginx:get(path, method)
  local socket = cs.connect { host = "127.0.0.1", port = self.port }
  socket:onerror(quiet)
  socket:settimeout(PATIENCE)
  socket:setmode("b", "b")
  socket:write(("%s %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"):format(method or "GET", path))
  socket:flush()
  local text = socket:read("*a") or ""
  socket:close()
  local status, head, body = text:match("^HTTP/1%.%d (%d+)[^\r\n]*\r\n(.-)\r\n\r\n(.*)$")
  if not status then error("no answer from nginx to " .. path, 2) end
  local headers = {}
  for name, value in (head .. "\r\n"):gmatch("([^:\r\n]+): *([^\r\n]*)\r\n") do headers[name:lower()] = value end
  return { status = tonumber(status), headers = headers, body = body }
end

--- Sends many requests at once; `done(i, answer)` is called in the order in which they come back.
---@param paths string[]
---@param done? fun(i: integer, answer: table)
---@return table[] answers in the order of the paths
function Nginx:get_all(paths, done)
  local loop, answers = cqueues.new(), {}
  for i, path in ipairs(paths) do
    loop:wrap(function()
      answers[i] = self:get(path)
      if done then done(i, answers[i]) end
    end)
  end
  assert(loop:loop())
  return answers
end

return nginx
