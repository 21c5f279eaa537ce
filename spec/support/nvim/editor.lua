--- Runs the real Neovim, without a screen, on a scenario: a piece of Lua that tells what it has seen.
--
-- This repository is on its runtime path, and beside it a scratch folder that holds nothing but a copy of the C module
-- for LuaJIT. Its environment has nothing of the tests' own but where programs are.

local cjson = require "cjson"
local files = require "spec.support.files"

local quote, read_file, write_file = files.quote, files.read, files.write

local function line_of(command) return files.lines_of(command)[1] end

local editor = {}

local root = line_of("pwd")
local MODULE = (os.getenv "JIT_BUILD" or "build/jit") .. "/voicecredits/core.so"
local PATIENCE = 60 -- seconds, for whatever hangs

editor.root = root

--- A folder of its own for one file of tests: `home`, and in it `runtime`, an entry of the runtime path.
---@param options? { module?: boolean } false: without the C module
function editor.folder(options)
  local home = line_of("mktemp -d")
  assert(os.execute("mkdir -p " .. quote(home .. "/runtime/lua/voicecredits")))
  if not options or options.module ~= false then
    assert(os.execute(("cp %s %s"):format(MODULE, quote(home .. "/runtime/lua/voicecredits/core.so"))))
  end
  return { home = home, runtime = home .. "/runtime", remove = function() os.execute("rm -rf " .. quote(home)) end }
end

--- A folder with a copy of the repository's Lua files in the repository's place, without the C module that `make nvim`
--- may have put beside them.
function editor.without_module()
  local folder = editor.folder { module = false }
  assert(os.execute(("cp -r lua plugin doc %s && rm -f %s"):format(quote(folder.runtime),
    quote(folder.runtime .. "/lua/voicecredits/core.so"))))
  folder.alone = true
  return folder
end

local function environment(folder, body, result, options)
  local variables = {
    PATH = os.getenv("PATH"), HOME = folder.home, SHELL = "/bin/sh", TERM = "xterm", SCENARIO = body, RESULT = result,
  }
  for name, value in pairs(options.env or {}) do variables[name] = value end
  local words = {}
  for name, value in pairs(variables) do words[#words + 1] = ("%s=%s"):format(name, quote(value)) end
  return table.concat(words, " ")
end

local function arguments(folder, options)
  local path = folder.alone and folder.runtime or folder.runtime .. "," .. root
  local words = { "--headless", "-i NONE", "-n", "-u", quote(options.init or "NONE") }
  local function add(flag, command) words[#words + 1] = flag .. " " .. quote(command) end
  add("--cmd", "set runtimepath^=" .. path)
  if options.before then add("--cmd", "lua " .. options.before) end
  if options.plugin ~= false then add("--cmd", "runtime plugin/voicecredits.lua") end
  if options.early then add("-c", "lua " .. options.early) end
  add("-c", "luafile " .. root .. "/spec/support/nvim/scenario.lua")
  return table.concat(words, " ")
end

---@class spec.nvim.options
---@field folder table of editor.folder
---@field env? table<string, string>
---@field before? string one line of Lua that runs before the plugin is loaded
---@field early? string one line of Lua that runs while Neovim still starts
---@field init? string an init file in the place of none
---@field plugin? boolean false: plugin/voicecredits.lua is not loaded

--- Runs a scenario (see scenario.lua for what it finds) and returns what it told; raises the error that ended it.
---@param text string Lua
---@param options spec.nvim.options
---@return table told
---@return { status: integer, output: string }
function editor.run(text, options)
  local folder = options.folder
  local body, result, output = os.tmpname(), os.tmpname(), os.tmpname()
  write_file(body, text)
  local line = ("env -i %s timeout %d nvim %s </dev/null >%s 2>&1; echo $?"):format(
    environment(folder, body, result, options), PATIENCE, arguments(folder, options), output)
  local status = tonumber(line_of(line))
  local json, said = read_file(result), read_file(output)
  for _, path in ipairs { body, result, output } do os.remove(path) end
  local told = json ~= "" and cjson.decode(json) or {}
  if told.problem then error(told.problem .. "\n" .. said, 2) end
  return told, { status = status, output = said }
end

return editor
