-- Options, keys and base URLs: what is refused before anything is sent, and what the request looks like.

local voicecredits = require "voicecredits"

local function refused(problem, ...)
  local options = { api_key = "k", retries = 0, timeout = 1 }
  for name, value in pairs((...)) do options[name] = value end
  local balance, failure = voicecredits.fish(options)
  assert.is_nil(balance)
  assert.equal("configuration", failure.kind)
  assert.is_false(failure.retryable)
  assert.equal(0, failure.attempts)
  assert.truthy(failure.message:find(problem, 1, true), failure.message)
  return failure
end

local function raises(text, ...)
  local ok, problem = pcall(...)
  assert.is_false(ok)
  assert.truthy(problem:find(text, 1, true), problem)
end

local function url(provider, options)
  options.api_key = options.api_key or "k"
  local request, failure = voicecredits.request(provider, options)
  return request and request.url, failure
end

describe("a programming mistake raises an error that names the nearest valid word:", function()
  it("an unknown provider", function()
    raises("unknown provider 'fsh', the nearest is 'fish'", voicecredits.check, "fsh")
    raises("unknown provider 'Suno', the nearest is 'suno'", voicecredits.request, "Suno")
    raises("'srtgen'", voicecredits.parse, "srt", { status = 200 })
    raises("account 2: unknown provider 'breze', the nearest is 'breeze'", voicecredits.check_all,
      { { provider = "fish" }, { provider = "breze" } })
  end)

  it("an unknown option", function()
    raises("unknown fish option 'apikey', the nearest is 'api_key'", voicecredits.fish, { apikey = "k" })
    raises("the nearest is 'timeout'", voicecredits.check, "suno", { time_out = 1 })
    raises("unknown suno option 'user_id'", voicecredits.suno, { user_id = "me" })
    raises("the nearest is 'max_in_flight'", voicecredits.session, { max_inflight = 1 })
    raises("account 1: unknown fish option 'keys'", voicecredits.check_all, { { provider = "fish", keys = 1 } })
  end)

  it("an unknown default of check_all, and not one that is meant for another provider's accounts", function()
    raises("account 1: unknown suno option 'tries', the nearest is 'retries'", voicecredits.check_all,
      { { provider = "suno" } }, { tries = 1 })
    raises("account 1: unknown suno option 'user_id'", voicecredits.check_all, { { provider = "suno", user_id = "me" } })
    raises("account 2: option 'user_id'", voicecredits.check_all,
      { { provider = "suno", api_key = "k", base_url = "x" }, { provider = "fish" } }, { user_id = 5 })
  end)

  it("an option of a wrong type or an impossible value", function()
    for name, value in pairs { api_key = 5, account = true, base_url = {}, timeout = "10", connect_timeout = false,
                               retries = "2", proxy = 1, ca_file = 1, ca_path = 1, session = "s", user_id = 5,
                               team_id = 5, check_free_credit = "yes", wait = "no" } do
      raises("option '" .. name .. "'", voicecredits.fish, { [name] = value })
    end
    raises("option 'session' must be a session, found string", voicecredits.check, "fish", { session = "s", wait = print })
    raises("option 'session' must be a session, found string", voicecredits.check_all, {}, { session = "s" })
    for name, values in pairs { timeout = { 0, -1, 0 / 0 }, connect_timeout = { 0 }, retries = { -1, 1.5, 1e300 },
                                user_id = { "", ".", "..", "a\0b" }, account = { "" } } do
      for _, value in ipairs(values) do raises("option '" .. name .. "'", voicecredits.fish, { [name] = value }) end
    end
    for _, value in ipairs { 0, 1.5, -1, "8" } do raises("max_per_host", voicecredits.session, { max_per_host = value }) end
  end)

  it("an argument of a wrong type, at the line that made it", function()
    raises("table", voicecredits.fish, "key")
    raises("check_all", voicecredits.check_all, "fish")
    raises("account 1", voicecredits.check_all, { "fish" })
    raises("'ensure'", voicecredits.ensure, "fish", "5")
    raises("options_spec.lua:", function() local answer = voicecredits.fish { apikey = 1 } return answer end)
    raises("options_spec.lua:", function() local answer = voicecredits.check_all { { provider = "x" } } return answer end)
  end)
end)

describe("a wrong configuration is a failure, and nothing is sent:", function()
  it("no key names the variable", function()
    for _, provider in ipairs(voicecredits.providers()) do
      local _, failure = voicecredits.check(provider.name, { api_key = "" })
      assert.equal("configuration", failure.kind)
      assert.truthy(failure.message:find(provider.key_variable, 1, true))
    end
  end)

  it("a key with a control character, which is not shown", function()
    for _, key in ipairs { "secret\n", "sec\r\nX-Evil: 1", "\0secret", "secret\127", "sec\tret" } do
      local failure = refused("control character", { api_key = key })
      assert.is_nil(tostring(failure):find("sec", 1, true))
    end
  end)

  it("a base URL that is not https, or has what does not belong there", function()
    refused("https://", { base_url = "http://api.fish.audio" })
    refused("https://", { base_url = "http://127.0.0.1.example.com" })
    refused("https://", { base_url = "http://10.0.0.1" })
    refused("https://", { base_url = "http://[::2]" })
    refused("https://", { base_url = "ftp://api.fish.audio" })
    refused("https://", { base_url = "file:///etc/passwd" })
    refused("https://", { base_url = "api.fish.audio" })
    refused("user name", { base_url = "https://me:secret@api.fish.audio" })
    refused("user name", { base_url = "http://me@localhost:1" })
    refused("query", { base_url = "https://api.fish.audio/?a=b" })
    refused("query", { base_url = "https://api.fish.audio/#top" })
    refused("not a URL", { base_url = "https://" })
    refused("not a URL", { base_url = "https://api.fish.audio:99999" })
    refused("not a URL", { base_url = "https://a b.example" })
    refused("not a URL", { base_url = "https://api.fish.audio\0.example" })
  end)

  it("a proxy on the way to plain http", function()
    refused("proxy", { base_url = "http://127.0.0.1:1", proxy = "http://127.0.0.1:2" })
  end)

  it("and shows neither password nor key", function()
    local failure = refused("user name", { base_url = "https://me:secret@api.fish.audio", api_key = "hidden" })
    assert.is_nil(tostring(failure):find("secret", 1, true))
    assert.is_nil(tostring(failure):find("hidden", 1, true))
  end)
end)

describe("request", function()
  it("is what each document says", function()
    local expected = {
      supertone = { "https://supertoneapi.com/v1/credits", "x-sup-api-key", "k" },
      suno = { "https://api.sunoapi.org/api/v1/generate/credit", "Authorization", "Bearer k" },
      fish = { "https://api.fish.audio/wallet/self/api-credit", "Authorization", "Bearer k" },
      srtgen = { "https://api.srtgen.com/api/v1/balance", "x-api-key", "k" },
      breeze = { "https://api.breeze.blue/v1/balance", "xi-api-key", "k" },
    }
    for name, case in pairs(expected) do
      assert.same({
        method = "GET", url = case[1],
        headers = { [case[2]] = case[3], Accept = "application/json", ["User-Agent"] = "voicecredits/" .. voicecredits._VERSION },
      }, voicecredits.request(name, { api_key = "k" }))
    end
  end)

  it("joins base URL and path with one slash, whatever the base URL ends in", function()
    for base, start in pairs {
      ["https://h.example"] = "https://h.example", ["https://h.example/"] = "https://h.example",
      ["https://h.example//"] = "https://h.example", ["https://h.example/gate"] = "https://h.example/gate",
      ["https://h.example/gate/way/"] = "https://h.example/gate/way", ["https://h.example:8443/a"] = "https://h.example:8443/a",
      ["http://localhost:8080"] = "http://localhost:8080", ["http://127.1.2.3"] = "http://127.1.2.3",
      ["http://[::1]:81/x"] = "http://[::1]:81/x", ["HTTPS://H.example"] = "https://H.example",
    } do
      assert.equal(start .. "/v1/balance", (url("breeze", { base_url = base })))
    end
  end)

  it("percent-encodes Fish's options", function()
    assert.equal("https://api.fish.audio/wallet/a%2fb%20%3f%c3%a9/api-credit", (url("fish", { user_id = "a/b ?é" }):lower()))
    assert.equal("https://api.fish.audio/wallet/self/api-credit?team_id=t%261%3d2&check_free_credit=true",
      (url("fish", { team_id = "t&1=2", check_free_credit = true }):lower()))
    assert.equal("https://api.fish.audio/wallet/self/api-credit?check_free_credit=false", (url("fish", { check_free_credit = false })))
  end)

  it("fails as a check does", function()
    local request, failure = voicecredits.request("fish", { api_key = "k", base_url = "http://fish.example" })
    assert.is_nil(request)
    assert.equal("configuration", failure.kind)
  end)
end)

describe("options that a metatable gives", function()
  it("count, from a table and from a function", function()
    local defaults = { api_key = "k1", base_url = "https://h.example" }
    local request = assert(voicecredits.request("fish", setmetatable({ user_id = "me" }, { __index = defaults })))
    assert.equal("https://h.example/wallet/me/api-credit", request.url)
    assert.equal("Bearer k1", request.headers.Authorization)
  end)

  it("are kept for as long as they are needed, though nobody else keeps them", function()
    local asked = 0
    local function make(_, name)
      collectgarbage()
      asked = asked + 1
      local others = 0 -- which take the place of what was collected
      for i = 1, 200 do others = others + #("o"):rep(90 + i) end
      assert(others > 0)
      if name == "api_key" then return "made-" .. asked .. ("k"):rep(100) end
      if name == "base_url" then return "https://h" .. asked .. ".example/" .. ("b"):rep(100) end
    end
    local request = assert(voicecredits.request("supertone", setmetatable({}, { __index = make })))
    assert.truthy(request.headers["x-sup-api-key"]:find("^made%-%d+k+$"))
    assert.truthy(request.url:find("^https://h%d+%.example/b+/v1/credits$"))
  end)
end)

describe("providers()", function()
  it("tells what is known of the five", function()
    local names = {}
    for _, provider in ipairs(voicecredits.providers()) do
      names[#names + 1] = provider.name
      for _, field in ipairs { "title", "base_url", "path", "auth_header", "unit", "key_variable", "base_variable", "documentation" } do
        assert.equal("string", type(provider[field]), field)
      end
      assert.equal(provider.name == "supertone" and "2026-08-31" or nil, provider.discontinued)
      assert.equal(provider.name == "fish" and "USD" or "credits", provider.unit)
    end
    assert.same({ "supertone", "suno", "fish", "srtgen", "breeze" }, names)
  end)

  it("gives a table of the caller's own", function()
    voicecredits.providers()[1].name = "changed"
    assert.equal("supertone", voicecredits.providers()[1].name)
  end)
end)
