-- Memory and whatever else can run out, on a Lua that collects garbage and tries again when memory is out (5.4) and on one
-- that does not (LuaJIT). The operations are in support/memory.lua. With EVERY_FAULT=yes (make memory) every call fails in every
-- way; else in the most telling one, and of libcurl's many calls every third.

local files = require "spec.support.files"
local support = require "spec.support.server"

local BODY = ('{"balance":123,"padding":"%s"}'):format(("x"):rep(5000)) -- the buffer must grow for it

local all = os.getenv "EVERY_FAULT" == "yes"

local sandbox, tls, untrusted, proxy
setup(function()
  assert(os.execute "make --silent memory-parts")
  sandbox = support.sandbox()
  tls = support.tls_server { body = BODY }
  untrusted = support.tls_server { body = BODY, certificate = "self-signed" }
  proxy = support.raw_server()
end)
teardown(function()
  for _, server in ipairs { sandbox, tls, untrusted, proxy } do server:stop() end
end)

-- Runs one group of operations; returns its lines, those that tell of a wrong first.
local function run(lua, group)
  local folder = "build/memory/" .. lua
  local command = ("LUA_CPATH='./%s/?.so;;' SSL_CERT_FILE=%s %s/interpreter spec/support/memory.lua %s few=%s url=%s tls=%s "
    .. "ca_file=%s untrusted=%s proxy=http://127.0.0.1:%d 2>&1 || echo it ended with $?")
    :format(folder, tls.ca_file, folder, group, all and "no" or "yes", sandbox:url(), tls.url, tls.ca_file, untrusted.url, proxy.port)
  return files.lines_of(command)
end

-- True when every fault of the group was got over; prints how many there were.
local function gets_over(lua, group)
  local wrong, faults = {}, 0
  for _, line in ipairs(run(lua, group)) do
    local count = tonumber(line:match "^%l+ +(%d+) faults")
    faults = faults + (count or 0)
    if not count then wrong[#wrong + 1] = line end
    if count and all then print(("%-3s %s"):format(lua, line)) end
  end
  assert.same({}, wrong)
  assert.is_true(faults > 0)
end

for _, lua in ipairs { "5.4", "jit" } do
  describe("when memory runs out in Lua " .. lua, function()
    it("every answer is parsed, or an error raised", function() gets_over(lua, "parse") end)
    it("a session's methods lose no check", function() gets_over(lua, "session") end)
    it("a check leaves nothing behind", function() gets_over(lua, "check") end)
    it("everything else raises an error", function() gets_over(lua, "rest") end)
  end)
end

describe("when memory, descriptors or threads run out below Lua", function()
  it("no session is opened, and the next one is", function() gets_over("5.4", "opening") end)
  it("a check over http fails, and the next one does not", function() gets_over("5.4", "http") end)
  it("a check over https fails, and the next one does not", function() gets_over("5.4", "https") end)

  it("no key goes to a server whose certificate nobody vouches for, nor to a proxy", function()
    assert.is_true(#tls:log() > 0)
    assert.same({}, untrusted:log())
    local connects = proxy:log()
    assert.is_true(#connects > 0)
    for _, connect in ipairs(connects) do
      assert.truthy(connect.request:find "^CONNECT ")
      assert.is_nil(connect.request:find("sandbox", 1, true))
    end
  end)
end)
