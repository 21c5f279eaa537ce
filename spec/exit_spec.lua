-- Ends of a process in the middle of a check: no crash, no hang.

local support = require "spec.support.server"
local lua = os.getenv "LUA" or "lua5.4"

local server, tls
setup(function()
  server = support.raw_server()
  tls = support.tls_server()
end)
teardown(function()
  server:stop()
  tls:stop()
end)

-- The exit status of a script, and what it wrote to standard error.
local function run(script, ...)
  local errors = os.tmpname()
  local pipe = assert(io.popen(("timeout 20 %s -e '%s' 2>%s; echo status $?"):format(lua, script:format(...), errors)))
  local output = pipe:read "*a"
  pipe:close()
  local file = io.open(errors)
  local text = file:read "*a"
  file:close()
  os.remove(errors)
  return tonumber(output:match "status (%d+)"), text
end

local submit = [[local session = assert(require "voicecredits".session())
  for i = 1, 5 do session:submit("supertone", { api_key = "k", base_url = "%s", retries = 0 }) end
  session:wait(%f) ]]

describe("with checks running,", function()
  local function ends(how)
    for round = 1, 10 do
      for _, url in ipairs { server:url "hang", tls.url, "https://nowhere.invalid" } do
        local status, errors = run(submit .. how, url, round % 5 * 0.001)
        assert.same({ 0, "" }, { status, errors }, url .. " " .. how)
      end
    end
  end

  it("os.exit() is clean", function() ends "os.exit(0)" end)
  it("os.exit() that closes the state is clean", function() ends "os.exit(0, true)" end)
  it("the end of the script is clean", function() ends "" end)
  it("a session that is closed inside a finalizer is clean", function()
    ends [[setmetatable({}, { __gc = function() session:close() session:next() session = nil end }) collectgarbage()]]
  end)
end)
