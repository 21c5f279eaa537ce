--- Starts the helper servers of the tests, each a process of its own that ends with this one.
--
--   support.raw_server()        answers that no well-behaved server gives (raw_server.lua)
--   support.sandbox(options)    the product's sandbox                     (sandbox_server.lua)
--   support.tls_server(options) https with certificates of its own        (tls_server.lua)

local cjson = require "cjson"
local cqueues = require "cqueues"
local cs = require "cqueues.socket"
local files = require "spec.support.files"

local quote, read_file = files.quote, files.read

local support = {}

local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local STARTING = 10 -- seconds a helper may take to tell its port

-- Processes ----------------------------------------------------------------------------------------------------------

local Process = {}
Process.__index = Process

-- The pipe that popen opens is the helper's standard input: it closes when this process ends, in whatever way.
local function start(script, ...)
  -- The helpers run on the same Lua whichever the suite is run on: cqueues under 5.1 stalls on TLS now and then.
  local command = { os.getenv("SERVER_LUA") or "lua5.4", quote(folder .. script) }
  for index = 1, select("#", ...) do command[#command + 1] = quote((select(index, ...))) end
  local output, errors = os.tmpname(), os.tmpname()
  local pipe = assert(io.popen(("{ echo PID $$; exec %s; } >%s 2>%s"):format(table.concat(command, " "),
    quote(output), quote(errors)), "w"))
  local deadline = cqueues.monotime() + STARTING
  local told
  repeat
    cqueues.sleep(0.01)
    told = read_file(output)
  until told:find("\nPORT %d+\n") or cqueues.monotime() > deadline
  local error_file = assert(io.open(errors, "rb"))
  os.remove(output)
  os.remove(errors)
  local pid, port = told:match("PID (%d+)"), told:match("\nPORT (%d+)\n")
  local self = { pipe = pipe, told = told, pid = pid, port = tonumber(port), error_file = error_file }
  if not port then
    Process.stop(self)
    error(("%s did not start: %s"):format(script, Process.errors(self)))
  end
  return self
end

--- What the process has written to standard error so far.
function Process:errors()
  self.error_file:seek("set")
  return self.error_file:read("*a")
end

--- Ends the process and waits for its end. A second call does nothing.
function Process:stop()
  if not self.pipe then return end
  if self.pid then os.execute("kill " .. self.pid .. " 2>/dev/null") end
  self.pipe:close()
  self.pipe = nil
end

local function class() return setmetatable({}, { __index = Process }) end

-- The raw server -----------------------------------------------------------------------------------------------------

local Raw = class()
Raw.__index = Raw

-- A folder of its own for a server that makes certificates.
local function make_folder() return files.lines_of("mktemp -d")[1] end

--- `options.tls`: the same answers over https too, with `ca_file` to trust, and a port in `tls_ports` for each kind of
-- certificate (certificates.lua).
function support.raw_server(options)
  local home = options and options.tls and make_folder() or nil
  local self = home and start("raw_server.lua", home) or start("raw_server.lua")
  self.ports, self.tls_ports, self.home = {}, {}, home
  self.ca_file = home and home .. "/ca.pem"
  for kind, port in self.told:gmatch("TLS (%S+) (%d+)") do self.tls_ports[kind] = tonumber(port) end
  return setmetatable(self, Raw)
end

local function control(self, method, path, body)
  local socket = cs.connect { host = "127.0.0.1", port = self.port }
  socket:settimeout(5)
  socket:setmode("b", "b")
  body = body or "" -- may hold NULs, at which format would stop on Lua 5.1 and 5.2
  socket:write(("%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n"):format(method, path, #body) .. body)
  socket:flush()
  local answer = socket:read("*a")
  socket:close()
  local status, json = answer:match("^HTTP/1.1 (%d+).-\r\n\r\n(.*)$")
  if status ~= "200" then error(("raw server: %s %s: %s"):format(method, path, answer), 3) end
  return cjson.decode(json)
end

--- The base URL that chooses a behaviour.
function Raw:url(behaviour)
  local own = self.ports[behaviour]
  return ("http://127.0.0.1:%d/%s"):format(own and own.http or self.port, behaviour)
end

--- The same over https, by a server with that kind of certificate (default "good").
function Raw:tls_url(behaviour, certificate)
  local own = self.ports[behaviour]
  return ("https://127.0.0.1:%d/%s"):format(own and own.https or self.tls_ports[certificate or "good"], behaviour)
end

local function own_ports(ports) return ports and ports.http and ports or nil end

--- Sets what a behaviour answers: raw bytes, with the options of raw_server.lua.
-- Set one with ports of its own (reset, blunt, cut) before asking for its URL.
function Raw:set(name, raw_bytes, options)
  local query = { "name=" .. name }
  for option, value in pairs(options or {}) do
    if value == true then value = 1 end
    query[#query + 1] = option .. "=" .. tostring(value)
  end
  self.ports[name] = own_ports(control(self, "POST", "/__set?" .. table.concat(query, "&"), raw_bytes))
end

--- The same for many at once: an array of { name, raw, options }.
function Raw:set_all(behaviours)
  for name, ports in pairs(control(self, "POST", "/__set_all", cjson.encode(behaviours))) do self.ports[name] = ports end
end

--- All requests since the last clear: array of { behaviour, request = the raw head, connection = number, at = time }.
function Raw:log() return control(self, "GET", "/__log") end

--- { accepted = connections of any kind since the last clear, this question's included, connections = those of them that asked
-- something, open = now, in_progress = requests now, peak = the most at once }.
function Raw:count() return control(self, "GET", "/__count") end

--- Forgets the log and the counts.
function Raw:clear() control(self, "POST", "/__clear") end

--- Ends the process and removes its certificate.
function Raw:stop()
  Process.stop(self)
  for _, name in ipairs(self.home and { "/ca.pem", "" } or {}) do os.remove(self.home .. name) end
end

--- The bytes of an orderly HTTP/1.1 answer, for `set`.
function support.response(status, body, headers)
  local lines = { ("HTTP/1.1 %d Test"):format(status), "Content-Length: " .. #body }
  for name, value in pairs(headers or {}) do lines[#lines + 1] = name .. ": " .. value end
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. body
end

-- The sandbox --------------------------------------------------------------------------------------------------------

local Sandbox = class()
Sandbox.__index = Sandbox

--- The product's sandbox; `options.delay` is how long "sandbox-slow" waits.
function support.sandbox(options)
  return setmetatable(start("sandbox_server.lua", options and options.delay or 2), Sandbox)
end

--- The base URL, the same for every provider.
function Sandbox:url() return ("http://127.0.0.1:%d"):format(self.port) end

--- The ten variables, as the sandbox itself tells them: array of { name, value }.
function Sandbox:environment()
  local variables = {}
  for name, value in self.told:gmatch("ENV (%S+) (%S+)") do variables[#variables + 1] = { name, value } end
  return variables
end

-- https --------------------------------------------------------------------------------------------------------------

local Tls = class()
Tls.__index = Tls

local certificates = { ["good"] = true, ["expired"] = true, ["wrong-name"] = true, ["self-signed"] = true }

--- An https server that answers every request alike.
-- Options: `body` (default "{}"), `status` (200), `certificate` ("good", "expired", "wrong-name", "self-signed").
-- Has `url`, `localhost_url` and `ca_file`.
function support.tls_server(options)
  options = options or {}
  local certificate = options.certificate or "good"
  if not certificates[certificate] then error("unknown certificate '" .. tostring(certificate) .. "'", 2) end
  local home = make_folder()
  local file = assert(io.open(home .. "/body", "wb"))
  file:write(options.body or "{}")
  file:close()
  local self = start("tls_server.lua", home, certificate, options.status or 200)
  self.home = home
  self.ca_file = home .. "/ca.pem"
  self.url = ("https://127.0.0.1:%d"):format(self.port)
  self.localhost_url = ("https://localhost:%d"):format(self.port)
  return setmetatable(self, Tls)
end

--- The raw heads of the requests that came through the handshake.
function Tls:log()
  local heads = {}
  for head in read_file(self.home .. "/requests"):gmatch("(.-\r\n\r\n)") do heads[#heads + 1] = head end
  return heads
end

--- Ends the process and removes its certificates.
function Tls:stop()
  Process.stop(self)
  for _, name in ipairs { "/body", "/ca.pem", "/requests", "" } do os.remove(self.home .. name) end
end

-- Where a key goes -----------------------------------------------------------------------------------------------------

local Folder = class()
Folder.__index = Folder

-- A helper with a folder of its own.
local function start_in_folder(script, ...)
  local home = files.lines_of("mktemp -d")[1]
  local self = start(script, home, ...)
  self.home = home
  return setmetatable(self, Folder)
end

--- An https server that answers each key with the number at its end as the balance of Supertone; it speaks HTTP/2, or
--- only 1.1. Has `url`, `localhost_url` and `ca_file`.
---@param version? "2"|"1.1"
function support.key_server(version)
  local self = start_in_folder("key_server.lua", version or "2")
  self.url = ("https://127.0.0.1:%d"):format(self.port)
  self.localhost_url = ("https://localhost:%d"):format(self.port)
  self.ca_file = self.home .. "/ca.pem"
  return self
end

--- The requests so far: array of { version, connection, key }.
function Folder:requests()
  local list = {}
  for version, connection, key in files.peek(self.home .. "/requests"):gmatch "(%S+) (%S+) (%S+)\n" do
    list[#list + 1] = { version = version, connection = connection, key = key }
  end
  return list
end

--- A proxy that tunnels, or answers every CONNECT with another status. Has `address`, host and port.
---@param status? integer 200
function support.connect_proxy(status)
  local self = start_in_folder("connect_proxy.lua", status or 200)
  self.address = "127.0.0.1:" .. ("%d"):format(self.port)
  return self
end

--- All the bytes that the proxy was sent.
function Folder:seen() return files.peek(self.home .. "/seen") end

--- Ends the process and removes its folder.
function Folder:stop()
  Process.stop(self)
  os.execute("rm -rf " .. quote(self.home))
end

return support
