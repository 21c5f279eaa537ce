--- Runs bin/voicecredits as a process with an environment of its own, and tells what came of it.
--
-- Environment and words go through a script file, never through a command line: so a test can say with right that no
-- key is in any process's arguments.

local cqueues = require "cqueues"
local shared = require "spec.support.files"

local quote, read_file, write_file = shared.quote, shared.read, shared.write

local command = {}

local root = (debug.getinfo(1, "S").source:match("^@(.*/)") or "./") .. "../../"
local LUA = os.getenv("LUA") or "lua5.4"
local PATIENCE = 10 -- seconds
local PROGRAM = root .. "bin/voicecredits"

local function script_of(words, options, files)
  local lines = { "echo $$ >" .. files.pid }
  for name, value in pairs(options.env or {}) do lines[#lines + 1] = ("export %s=%s"):format(name, quote(value)) end
  if options.before then lines[#lines + 1] = options.before end
  local exec = { "exec", options.lua or LUA, quote(options.program or PROGRAM) }
  for _, word in ipairs(words) do exec[#exec + 1] = quote(word) end
  exec[#exec + 1] = options.redirect
  lines[#lines + 1] = table.concat(exec, " ")
  return table.concat(lines, "\n") .. "\n"
end

-- A shell's line for the command. Its environment has nothing of the tests' own but where programs are.
local function line_of(words, options, files)
  write_file(files.script, script_of(words, options, files))
  local line = "sh " .. files.script
  if options.terminal then line = ("script -qec '%s' /dev/null"):format(line) end
  return ("env -i SHELL=/bin/sh PATH=%s %s </dev/null >%s 2>%s; echo $? >%s"):format(quote(os.getenv("PATH")), line,
    files.stdout, files.stderr, files.status)
end

local Running = {}
Running.__index = Running

---@class spec.command.options
---@field env? table<string, string>
---@field terminal? boolean on a pseudo-terminal: stdout holds all that it shows, with lines ended by \r\n
---@field redirect? string a shell's redirection of the command's own
---@field before? string a shell command that runs first, in the same process
---@field program? string another program file than bin/voicecredits
---@field lua? string another interpreter

--- Starts the command and lets it run.
---@param words string[]
---@param options? spec.command.options
function command.start(words, options)
  local files = {}
  for _, name in ipairs { "script", "pid", "stdout", "stderr", "status" } do files[name] = os.tmpname() end
  local pipe = assert(io.popen(line_of(words, options or {}, files), "r"))
  return setmetatable({ files = files, pipe = pipe }, Running)
end

--- Waits until it has written something to stdout, and returns what it has written so far.
---@param pattern string
function Running:wait_for(pattern)
  local deadline = cqueues.monotime() + PATIENCE
  repeat
    local text = read_file(self.files.stdout)
    if text:find(pattern) then return text end
    cqueues.sleep(0.01)
  until cqueues.monotime() > deadline
  self:signal("KILL") -- or the tests would wait for it at their end
  local result = self:finish()
  error(("no '%s' came: %s%s"):format(pattern, result.stdout, result.stderr), 2)
end

function Running:signal(name)
  os.execute(("kill -%s %d"):format(name, tonumber(read_file(self.files.pid))))
end

--- Waits for its end.
---@return { stdout: string, stderr: string, status: integer }
function Running:finish()
  self.pipe:close()
  local files = self.files
  local result = {
    stdout = read_file(files.stdout), stderr = read_file(files.stderr), status = tonumber(read_file(files.status)),
  }
  for _, path in pairs(files) do os.remove(path) end
  return result
end

--- Runs the command to its end.
---@param words string[]
---@param options? spec.command.options
---@return { stdout: string, stderr: string, status: integer }
function command.run(words, options) return command.start(words, options):finish() end

return command
