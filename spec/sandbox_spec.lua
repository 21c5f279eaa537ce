package.path = "./lua/?.lua;./lua/?/init.lua;./?.lua;./?/init.lua;" .. package.path

local sandbox = require "voicecredits.sandbox" -- before lua-http's own modules: it finds them
local cqueues = require "cqueues"
local cs = require "cqueues.socket"
local fixtures = require "spec.fixtures"
local http_client = require "http.client"
local http_headers = require "http.headers"
local http_request = require "http.request"
local support = require "spec.support.server"

local DELAY = 0.3 -- what "sandbox-slow" waits here
local PATIENCE = 5

local providers = {
  supertone = { path = "/v1/credits", key_header = "x-sup-api-key" },
  suno = { path = "/api/v1/generate/credit", key_header = "authorization", scheme = "Bearer " },
  fish = { path = "/wallet/self/api-credit", key_header = "authorization", scheme = "Bearer " },
  srtgen = { path = "/api/v1/balance", key_header = "x-api-key" },
  breeze = { path = "/v1/balance", key_header = "xi-api-key" },
}

-- Which fixture each key gets.
local answers = {
  supertone = { denied = "unauthorized", limited = "too-many-requests", down = "server-error" },
  suno = { denied = "code-401", limited = "code-430", down = "code-455" },
  fish = { denied = "unauthorized", limited = "too-many-requests", down = "high-load" },
  srtgen = { denied = "unauthorized", limited = "too-many-requests", down = "server-error" },
  breeze = { denied = "auth-required", limited = "rate-limited", down = "unavailable" },
}

local function expected(name, key)
  local choice = key:match("^sandbox%-?(.*)$")
  if choice == "" or choice == "slow" then choice = "sample" end
  return fixtures.find(name, answers[name][choice] or choice)
end

describe("the sandbox", function()
  local server

  setup(function() server = support.sandbox { delay = DELAY } end)
  teardown(function()
    local errors = server:errors()
    server:stop()
    assert.equal("", errors)
  end)

  local function ask(target, headers, method)
    local request = http_request.new_from_uri(server:url() .. target)
    request.headers:upsert(":method", method or "GET")
    for name, value in pairs(headers or {}) do request.headers:upsert(name, value) end
    local answer, stream = assert(request:go(PATIENCE))
    local body = assert(stream:get_body_as_string(PATIENCE))
    stream:shutdown()
    return { status = tonumber(answer:get(":status")), headers = answer, body = body }
  end

  local function ask_with_key(name, key)
    local provider = providers[name]
    return ask(provider.path, { [provider.key_header] = (provider.scheme or "") .. key })
  end

  -- A client of bare bytes, which may leave when it likes.
  local function connect()
    local socket = cs.connect { host = "127.0.0.1", port = server.port }
    socket:onerror(function(_, _, why) return why end)
    socket:settimeout(PATIENCE)
    socket:setmode("b", "bn")
    return socket
  end

  for name in pairs(providers) do
    describe("as " .. name, function()
      for _, key in ipairs { "sandbox", "sandbox-empty", "sandbox-null", "sandbox-denied", "sandbox-limited",
          "sandbox-down", "sandbox-slow" } do
        it("answers " .. key .. " byte for byte as documented", function()
          local fixture = expected(name, key)
          local answer = ask_with_key(name, key)
          assert.equal(fixture.status, answer.status)
          assert.equal(fixtures.load(fixture), answer.body)
          assert.equal("application/json", answer.headers:get("content-type"))
          assert.equal(tostring(#answer.body), answer.headers:get("content-length"))
        end)
      end

      it("refuses any other key, no key and an empty one", function()
        local refusal = fixtures.load(expected(name, "sandbox-denied"))
        assert.equal(refusal, ask_with_key(name, "sandbox-unheard-of").body)
        assert.equal(refusal, ask_with_key(name, "Sandbox").body)
        assert.equal(refusal, ask(providers[name].path).body)
        assert.equal(refusal, ask(providers[name].path, { [providers[name].key_header] = "" }).body)
      end)

      it("refuses a good key in a header of another provider", function()
        local wrong = providers[name].scheme and "x-api-key" or "x-wrong-api-key"
        local answer = ask(providers[name].path, { [wrong] = "sandbox" })
        assert.equal(fixtures.load(expected(name, "sandbox-denied")), answer.body)
      end)

      it("says when to come back only where it limits by HTTP", function()
        local function retry_after(key) return ask_with_key(name, key).headers:get("retry-after") or "none" end
        assert.equal(name == "suno" and "none" or "30", retry_after("sandbox-limited"))
        assert.equal("none", retry_after("sandbox"))
      end)

      it("answers 405 to another method", function()
        local answer = ask(providers[name].path, { [providers[name].key_header] = "sandbox" }, "POST")
        assert.equal(405, answer.status)
        assert.equal("GET", answer.headers:get("allow"))
      end)
    end)
  end

  describe("headers and queries", function()
    it("takes the Bearer scheme in any case, and no other scheme", function()
      local path, sample = providers.suno.path, fixtures.load(fixtures.find("suno", "sample"))
      for _, value in ipairs { "Bearer sandbox", "bearer sandbox", "BEARER  sandbox" } do
        assert.equal(sample, ask(path, { authorization = value }).body)
      end
      for _, value in ipairs { "sandbox", "Basic sandbox", "Bearersandbox", "Token sandbox" } do
        assert.matches('"code":401', ask(path, { authorization = value }).body, 1, true)
      end
    end)

    it("lets Breeze be asked with Bearer too, and xi-api-key win", function()
      local path = providers.breeze.path
      assert.equal(200, ask(path, { authorization = "Bearer sandbox" }).status)
      assert.equal(200, ask(path, { authorization = "Bearer wrong", ["xi-api-key"] = "sandbox" }).status)
      assert.equal(401, ask(path, { authorization = "Bearer sandbox", ["xi-api-key"] = "wrong" }).status)
    end)

    it("tells Breeze's public key id where the key was accepted", function()
      assert.equal("key_sandbox", ask_with_key("breeze", "sandbox").headers:get("x-breeze-api-key-id"))
      assert.equal("key_sandbox", ask_with_key("breeze", "sandbox-down").headers:get("x-breeze-api-key-id"))
      assert.is_false(ask_with_key("breeze", "sandbox-denied").headers:has("x-breeze-api-key-id"))
    end)

    it("fills Fish's has_free_credit for those who ask", function()
      local function fish(query) return ask("/wallet/someone%2Felse/api-credit" .. query,
        { authorization = "Bearer sandbox" }) end
      local asked = fixtures.load(fixtures.find("fish", "free-credit"))
      local not_asked = fixtures.load(fixtures.find("fish", "sample"))
      assert.equal(asked, fish("?check_free_credit=true").body)
      assert.equal(asked, fish("?team_id=t1&check_free_credit=true").body)
      assert.equal(not_asked, fish("?check_free_credit=false").body)
      assert.equal(not_asked, fish("?team_id=t1").body)
      local refused = fish("?check_free_credit=maybe")
      assert.equal(422, refused.status)
      assert.equal(fixtures.load(fixtures.find("fish", "invalid-query")), refused.body)
    end)

    it("answers 404 to a path of no provider", function()
      for _, path in ipairs { "/", "/v1/credits/", "/v1", "/wallet/api-credit", "/wallet/a/b/api-credit" } do
        assert.equal(404, ask(path, { ["x-sup-api-key"] = "sandbox" }).status)
      end
    end)
  end)

  describe("connections", function()
    it("carry one request after another", function()
      local connection = assert(http_client.connect({ host = "127.0.0.1", port = server.port, tls = false }, PATIENCE))
      for name, provider in pairs(providers) do
        local headers = http_headers.new()
        headers:append(":method", "GET")
        headers:append(":path", provider.path)
        headers:append(":authority", "127.0.0.1")
        headers:append(provider.key_header, (provider.scheme or "") .. "sandbox")
        local stream = assert(connection:new_stream())
        assert(stream:write_headers(headers, true, PATIENCE))
        assert.equal("200", assert(stream:get_headers(PATIENCE)):get(":status"))
        assert.equal(fixtures.load(fixtures.find(name, "sample")), stream:get_body_as_string(PATIENCE))
      end
      connection:close()
    end)

    it("do not wait for each other", function()
      local loop, done, started = cqueues.new(), 0, cqueues.monotime()
      for _ = 1, 50 do
        loop:wrap(function()
          assert.equal(200, ask_with_key("breeze", "sandbox-slow").status)
          done = done + 1
        end)
      end
      assert(loop:loop())
      local elapsed = cqueues.monotime() - started
      assert.equal(50, done)
      assert.is_true(elapsed >= DELAY and elapsed < 10 * DELAY)
    end)

    local post = "POST /v1/credits HTTP/1.1\r\nHost: here\r\n"
    local slow = "GET /v1/credits HTTP/1.1\r\nHost: here\r\nx-sup-api-key: sandbox-slow\r\n\r\n"
    local bad_manners = {
      ["leaves at once"] = "",
      ["leaves in the middle of a head"] = "GET /v1/credits HTTP/1.1\r\nHost: he",
      ["leaves before a slow answer"] = slow,
      ["leaves without reading its answer"] = slow:gsub("%-slow", "") .. slow,
      ["does not speak HTTP"] = "\0\1\2\255 nothing of the kind\r\n\r\n",
      ["announces more than it sends"] = post .. "Content-Length: 99\r\n\r\nabc",
      ["sends more than it may"] = post .. "Content-Length: 999999\r\n\r\n" .. ("abc"):rep(100000),
      ["announces a length that is no number"] = post .. "Content-Length: many\r\n\r\nabc",
      ["leaves in the middle of a chunk"] = post .. "Transfer-Encoding: chunked\r\n\r\nff\r\nabc",
      ["names a coding that is none"] = post .. "Transfer-Encoding: \1,\1\r\n\r\nabc",
    }
    for manner, bytes in pairs(bad_manners) do
      it("survive a client that " .. manner, function()
        local socket = connect()
        assert(socket:connect(PATIENCE))
        if bytes ~= "" then
          local sent, why = socket:xwrite(bytes, "bn")
          -- What is too much need not be heard to its end.
          if not manner:find("more than it may") then assert(sent, why) end
        end
        if manner:find("without reading") then
          cqueues.poll({ pollfd = socket:pollfd(), events = "r" }, PATIENCE) -- unread bytes turn the close into a reset
        end
        socket:close()
        assert.equal(200, ask_with_key("supertone", "sandbox-slow").status) -- as long as the one left behind
        assert.equal("", server:errors())
      end)
    end

    it("are taken on 127.0.0.1 only", function()
      local socket = cs.connect { host = "127.0.0.2", port = server.port }
      socket:onerror(function(_, _, why) return why end)
      assert.is_nil((socket:connect(PATIENCE)))
      socket:close()
    end)
  end)
end)

describe("voicecredits.sandbox", function()
  it("decides without serving", function()
    local answer = sandbox.answer("GET", "/v1/credits", { ["x-sup-api-key"] = "sandbox" })
    assert.same({ status = 200, body = '{"balance":123}',
      headers = { ["content-type"] = "application/json", ["content-length"] = "15" } }, answer)
    assert.equal(2, sandbox.answer("GET", "/v1/credits", { ["x-sup-api-key"] = "sandbox-slow" }).delay)
  end)

  it("gives every caller an answer of its own", function()
    local headers = { ["x-sup-api-key"] = "sandbox-limited" }
    sandbox.answer("GET", "/v1/credits", headers).headers["retry-after"] = "0"
    assert.equal("30", sandbox.answer("GET", "/v1/credits", headers).headers["retry-after"])
  end)

  it("knows its port before it serves, and the ten variables", function()
    local server = assert(sandbox.open())
    local variables = {}
    for _, variable in ipairs(server:environment()) do variables[variable[1]] = variable[2] end
    local url = "http://127.0.0.1:" .. server.port
    for name in pairs(providers) do
      assert.equal("sandbox", variables[name:upper() .. "_API_KEY"])
      assert.equal(url, variables[name:upper() .. "_BASE_URL"])
      assert.equal(url, server:url(name))
    end
    assert.equal(10, #server:environment())
    assert.has_error(function() server:url("nobody") end)
    server:close()
  end)

  it("says when a port is taken, and gives it back on close", function()
    local first = assert(sandbox.open { port = 0 })
    local second, message = sandbox.open { port = first.port }
    assert.is_nil(second)
    assert.matches("port " .. first.port .. " of 127.0.0.1 cannot be used: .*in use", message)
    first:close()
    first:close()
    local third = assert(sandbox.open { port = first.port })
    third:close()
  end)

  it("stops serving when it is closed", function()
    local loop, server, ended = cqueues.new(), assert(sandbox.open()), false
    loop:wrap(function()
      server:run()
      ended = true
    end)
    loop:wrap(function()
      local request = http_request.new_from_uri(server:url("supertone") .. "/v1/credits")
      assert.equal("401", assert(request:go(PATIENCE)):get(":status"))
      server:close()
    end)
    assert(loop:loop(PATIENCE))
    assert.is_true(ended)
  end)

  it("refuses options that it does not know or cannot use", function()
    for _, options in ipairs { { prot = 1 }, { port = "80" }, { port = 65536 }, { port = -1 }, { port = 1.5 },
        { delay = -1 }, { delay = 0 / 0 }, { delay = "2" } } do
      assert.has_error(function() sandbox.open(options) end)
    end
  end)
end)
