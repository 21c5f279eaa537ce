-- The blocking checks over real HTTP: against the sandbox, against every fixture, with keys from the environment.

local voicecredits = require "voicecredits"
local expecting = require "spec.support.expecting"
local fixtures = require "spec.fixtures"
local support = require "spec.support.server"

local names = { "supertone", "suno", "fish", "srtgen", "breeze" }

describe("against the sandbox", function()
  local sandbox
  setup(function() sandbox = support.sandbox { delay = 0.2 } end)
  teardown(function() sandbox:stop() end)

  local function check(provider, key, options)
    local all = { api_key = key, base_url = sandbox:url(), retries = 0 }
    for name, value in pairs(options or {}) do all[name] = value end
    return voicecredits[provider](all)
  end

  it("each provider's function reads the documented sample", function()
    for _, name in ipairs(names) do
      local balance, failure = check(name, "sandbox")
      expecting.answer(fixtures.find(name, "sample"), balance, failure)
      assert.equal(1, balance.attempts)
      assert.is_true(balance.elapsed > 0 and balance.elapsed < 10)
      assert.equal("default", balance.account)
    end
  end)

  it("every key is answered as its name says", function()
    local kinds = {
      ["sandbox-denied"] = "authentication", ["sandbox-limited"] = "rate_limited", ["sandbox-down"] = "unavailable",
      ["nobody's"] = "authentication",
    }
    for _, name in ipairs(names) do
      for key, kind in pairs(kinds) do
        local balance, failure = check(name, key)
        assert.is_nil(balance)
        assert.equal(kind, failure.kind)
        assert.is_nil(tostring(failure):find(key, 1, true))
      end
      assert.equal(0, check(name, "sandbox-empty").remaining)
      assert.equal(name == "supertone" and "unknown" or nil, (check(name, "sandbox-null") and "unknown"))
    end
  end)

  it("a slow one is waited for, within the timeout", function()
    assert.is_true(check("suno", "sandbox-slow").elapsed >= 0.2)
    assert.equal("timeout", select(2, check("suno", "sandbox-slow", { timeout = 0.05 })).kind)
  end)

  it("Fish's options reach the provider", function()
    assert.equal(voicecredits.null, check("fish", "sandbox").raw.has_free_credit)
    assert.is_true(check("fish", "sandbox", { check_free_credit = true }).raw.has_free_credit)
    assert.truthy(check("fish", "sandbox", { user_id = "a b/c", team_id = "t" }))
  end)

  it("check takes the provider's name", function()
    assert.equal("12.340000", voicecredits.check("fish", { api_key = "sandbox", base_url = sandbox:url() }).exact)
  end)

  it("ensure holds the balance against a minimum", function()
    local options = { api_key = "sandbox", base_url = sandbox:url(), account = "studio" }
    assert.equal(100, voicecredits.ensure("suno", 100, options).remaining)
    local balance, failure = voicecredits.ensure("suno", 100.5, options)
    assert.is_nil(balance)
    assert.equal("insufficient", failure.kind)
    assert.equal("suno/studio: insufficient: 100 credits left, 100.5 wanted", tostring(failure))
    assert.is_false(failure.retryable)
    options.api_key = "sandbox-null"
    failure = select(2, voicecredits.ensure("supertone", 0, options))
    assert.equal("insufficient", failure.kind)
    assert.truthy(failure.message:find("does not say", 1, true))
    options.api_key = "wrong"
    assert.equal("authentication", select(2, voicecredits.ensure("suno", 1, options)).kind)
  end)

  it("check_all has a row for each account, in order, with the defaults where they say nothing", function()
    local rows = voicecredits.check_all({
      { provider = "fish", account = "studio", user_id = "me" }, { provider = "suno", api_key = "sandbox-down" },
      { provider = "fish", api_key = "" },
    }, { base_url = sandbox:url(), api_key = "sandbox", retries = 0, check_free_credit = true })
    assert.equal(3, #rows)
    assert.same({ "fish", "studio", nil }, { rows[1].provider, rows[1].account, rows[1].failure })
    assert.is_true(rows[1].balance.raw.has_free_credit)
    assert.same({ "suno", "default", nil, "unavailable" }, { rows[2].provider, rows[2].account, rows[2].balance, rows[2].failure.kind })
    assert.equal("configuration", rows[3].failure.kind)
    assert.same({}, voicecredits.check_all {})
  end)

  it("check_all leaves nothing behind when one of its accounts is wrong", function()
    local session = assert(voicecredits.session())
    local good = { provider = "suno", api_key = "sandbox-slow", base_url = sandbox:url() }
    assert.has_error(function() voicecredits.check_all({ good, good, { provider = "suno", nope = 1 } }, { session = session }) end)
    while session:pending() > 0 and session:wait(5) do assert.is_nil(session:next()) end
    assert.equal(0, session:pending())
    session:close()
  end)

  it("the default session keeps its connections, and is made anew after it was closed", function()
    local core = require "voicecredits.core"
    check("suno", "sandbox")
    local session = core.session_of()
    assert.equal(session, core.session_of())
    session:close()
    assert.truthy(check("suno", "sandbox"))
    assert.are_not.equal(session, core.session_of())
  end)
end)

describe("every fixture over real HTTP:", function()
  local server
  setup(function() server = support.raw_server() end)
  teardown(function() server:stop() end)

  for _, fixture in ipairs(fixtures) do
    it(("%s, %s"):format(fixture.provider, fixture.name), function()
      server:set("fixture", support.response(fixture.status, fixtures.load(fixture), fixture.headers))
      local options = { api_key = "test-key", base_url = server:url "fixture", retries = 0 }
      expecting.answer(fixture, voicecredits.check(fixture.provider, options))
    end)
  end
end)

describe("keys and base URLs from the environment", function()
  local sandbox
  setup(function() sandbox = support.sandbox() end)
  teardown(function() sandbox:stop() end)

  -- Runs a script in a process whose environment has nothing but these variables.
  local function run(variables, script)
    local command = { "env -i PATH=\"$PATH\" LUA_PATH=\"$LUA_PATH\" LUA_CPATH=\"$LUA_CPATH\"" }
    for _, variable in ipairs(variables) do command[#command + 1] = ("%s='%s'"):format(variable[1], variable[2]) end
    command[#command + 1] = ("%s -e '%s'"):format(os.getenv "LUA" or "lua5.4", script)
    local pipe = assert(io.popen(table.concat(command, " ")))
    local output = pipe:read "*a"
    pipe:close()
    return output
  end

  local list = [[for _, row in ipairs(require "voicecredits".check_all()) do print(row.balance or row.failure) end]]

  it("serve every provider that has one", function()
    assert.equal("supertone/default: 123 credits\nsuno/default: 100 credits\nfish/default: 12.340000 USD\n"
      .. "srtgen/default: 1250 credits\nbreeze/default: 0.5 credits\n", run(sandbox:environment(), list))
  end)

  it("are passed over where they are empty or not there", function()
    assert.equal("", run({ { "FISH_API_KEY", "" } }, list))
    assert.equal("suno/default: 100 credits\n",
      run({ { "SUNO_API_KEY", "sandbox" }, { "SUNO_BASE_URL", sandbox:url() }, { "FISH_API_KEY", "" } }, list))
  end)

  it("yield to the options", function()
    local script = ([[print((require "voicecredits".suno { api_key = "sandbox", base_url = "%s" }))]]):format(sandbox:url())
    assert.equal("suno/default: 100 credits\n", run({ { "SUNO_API_KEY", "x" }, { "SUNO_BASE_URL", "https://nowhere.invalid" } }, script))
  end)

  it("are kept out of what parse quotes", function()
    assert.equal("fish/default: authentication: HTTP 401: bad key [key]\n", run({ { "FISH_API_KEY", "sk-12345" } },
      [[print(select(2, require "voicecredits".parse("fish", { status = 401, body = "{\"message\":\"bad key sk-12345\"}" })))]]))
  end)

  it("require \"voicecredits\" loads the C module on first use only", function()
    assert.equal("nil\nfalse\ntrue\n", run({}, [[
      local voicecredits = require "voicecredits"
      print(package.loaded["voicecredits.core"])
      local maps = function() return io.open("/proc/self/maps"):read("*a"):find("libcurl", 1, true) ~= nil end
      print(maps()) local _ = voicecredits.null print(maps())]]))
  end)
end)

describe("what is missing is told in one line:", function()
  -- The error of the first use, in a process of its own.
  local function told(setup, lua)
    local pipe = assert(io.popen((lua or os.getenv "LUA" or "lua5.4") .. " -e '" .. setup .. [[
      print(select(2, pcall(function() return require "voicecredits".null end)))' 2>&1]]))
    local output = pipe:read "*a"
    pipe:close()
    assert.equal(1, select(2, output:gsub("\n", "")), output)
    return output
  end

  it("lua-cjson", function()
    local output = told [[package.preload.cjson = function() error("none", 0) end]]
    assert.truthy(output:find("voicecredits needs lua-cjson for this Lua (" .. _VERSION .. ")", 1, true), output)
  end)

  it("the C module", function()
    assert.truthy(told([[package.cpath = ""]]):find("was not found for .*: build it with 'make'"))
  end)

  it("a C module for this Lua, where it was built for another", function()
    local other = _VERSION == "Lua 5.4" and "lua5.1" or "lua5.4"
    if os.execute("command -v " .. other .. " >/dev/null") ~= true and os.execute("command -v " .. other .. " >/dev/null") ~= 0 then
      pending(other .. " is not on this machine")
      return
    end
    local output = told([[package.preload.cjson = function() return {} end]], other)
    assert.truthy(output:find("was built for another Lua than this Lua " .. other:match "[%d.]+", 1, true), output)
  end)

  it("libcurl", function()
    assert.truthy(told([[package.preload["voicecredits.core"] = function()
      error("error loading module: libcurl.so.4: cannot open shared object file", 0) end]]):find("needs libcurl: install", 1, true))
  end)
end)

describe("Neovim's vim.json in the place of lua-cjson", function()
  local function run(settings)
    local pipe = assert(io.popen((os.getenv "LUA" or "lua5.4") .. [==[ -e '
      local cjson = require "cjson"
      package.loaded.cjson, package.preload.cjson = nil, function() error("none", 0) end
      vim = { json = { decode = cjson.decode, new = ]==] .. settings .. [==[ } }
      local voicecredits = require "voicecredits"
      local function exact(body)
        local balance, failure = voicecredits.parse("supertone", { status = 200, body = body })
        return balance and (balance.exact or "unknown") or failure.kind
      end
      local deep = ("["):rep(70) .. ("]"):rep(70)
      print(exact("{\"balance\":1.5e1,\"x\":[true,false,null,\"NaN \\\" 0x1 [[\"]}"), exact("{\"balance\":null}"),
        exact("{\"balance\":0x10}"), exact("{\"balance\":007}"), exact("{\"balance\":+5}"),
        exact("{\"balance\":1,\"y\":NaN}"), exact("{\"balance\":1,\"x\":" .. deep .. "}"))']==]))
    local output = pipe:read "*a"
    pipe:close()
    return output
  end

  it("is as strict, whether it can be told to or not", function()
    local expected = "15\tunknown" .. ("\tprotocol"):rep(5) .. "\n"
    assert.equal(expected, run "cjson.new")
    assert.equal(expected, run "nil")
  end)
end)
