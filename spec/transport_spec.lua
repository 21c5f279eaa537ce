-- What happens on the wire: answers that no well-behaved server gives, redirects, retries, limits.

local voicecredits = require "voicecredits"
local support = require "spec.support.server"

local server

setup(function() server = support.raw_server() end)
teardown(function() server:stop() end)
before_each(function() server:clear() end)

local good = support.response(200, '{"balance":7}', { ["Content-Type"] = "application/json" })

local function check(behaviour, options)
  local all = { api_key = "marked-key", base_url = server:url(behaviour), retries = 0, timeout = 5 }
  for name, value in pairs(options or {}) do all[name] = value end
  return voicecredits.supertone(all)
end

local function fails(kind, text, behaviour, options)
  local balance, failure = check(behaviour, options)
  assert.is_nil(balance)
  assert.equal(kind, failure.kind, tostring(failure))
  if text then assert.truthy(failure.message:find(text, 1, true), failure.message) end
  assert.is_nil(tostring(failure):find("marked-key", 1, true))
  return failure
end

local function count_requests() return #server:log() end

describe("a request", function()
  it("has the key in the documented header, and says who asks", function()
    server:set("good", good)
    assert.equal(7, assert(check "good").remaining)
    local head = server:log()[1].request
    assert.truthy(head:find("^GET /good/v1/credits HTTP/1.1\r\n"))
    assert.truthy(head:find("\r\nx-sup-api-key: marked-key\r\n", 1, true))
    assert.truthy(head:find("\r\nAccept: application/json\r\n", 1, true))
    assert.truthy(head:find("\r\nUser-Agent: voicecredits/" .. voicecredits._VERSION .. "\r\n", 1, true))
    assert.is_nil(head:lower():find("cookie", 1, true))
    assert.is_nil(head:lower():find("accept-encoding", 1, true))
  end)

  it("uses the connection of the one before", function()
    server:set("good", good)
    assert(check "good")
    assert(check "good")
    local log = server:log()
    assert.equal(log[1].connection, log[2].connection)
  end)
end)

describe("an answer that no well-behaved server gives:", function()
  it("none at all, within the timeout", function()
    local failure = fails("timeout", "0.2 s", "hang", { timeout = 0.2 })
    assert.is_false(failure.retryable)
    assert.is_true(failure.elapsed >= 0.19)
    assert.equal(1, failure.attempts)
  end)

  it("refused", function()
    assert.is_true(fails("network", nil, "x", { base_url = "http://127.0.0.1:1" }).retryable)
  end)

  it("closed after the request", function() assert.is_true(fails("network", nil, "close-early").retryable) end)

  it("closed in the headers and in the body", function()
    server:set("half-head", "HTTP/1.1 200 OK\r\nContent-Le", { close = true })
    fails("network", nil, "half-head")
    server:set("half-body", 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"bal', { close = true })
    assert.is_false(fails("network", nil, "half-body").retryable)
  end)

  it("reset", function()
    server:set("reset", 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"bal', { reset = true })
    fails("network", nil, "reset")
  end)

  it("not HTTP", function()
    server:set("odd", "SSH-2.0-OpenSSH_9.2\r\n", { close = true })
    fails("protocol", nil, "odd")
    server:set("http09", '{"balance":7}', { close = true })
    fails("protocol", nil, "http09")
  end)

  it("too many headers", function()
    server:set("heads", "HTTP/1.1 200 OK\r\n" .. ("X-Filler: " .. ("y"):rep(1000) .. "\r\n"):rep(70)
      .. "Content-Length: 13\r\n\r\n" .. '{"balance":7}')
    fails("protocol", "64 KiB of headers", "heads")
  end)

  it("a body of more than 1 MiB, announced or not; 200 MB are not waited for", function()
    server:set("announced", "HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\n", { close = true })
    fails("protocol", "1024 KiB", "announced")
    server:set("endless", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" .. ("x"):rep(1000), { ["repeat"] = 200000, close = true })
    fails("protocol", "1024 KiB", "endless")
    server:set("open", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" .. ("x"):rep(1000), { ["repeat"] = 2000 })
    fails("protocol", "1024 KiB", "open") -- what comes after the limit is not waited for
  end)

  it("a body of 1 MiB is read", function()
    local body = '{"balance":7,"x":"' .. ("y"):rep(1024 * 1024 - 20) .. '"}'
    server:set("full", support.response(200, body))
    assert.equal(1024 * 1024, #body)
    assert.equal(7, assert(check "full").remaining)
  end)

  it("compressed", function()
    server:set("gzip", support.response(200, "\31\139\8\0\0", { ["Content-Encoding"] = "gzip" }))
    fails("protocol", "gzip", "gzip")
  end)

  it("one byte at a time, longer than the timeout", function()
    server:set("drip", good, { drip = 20 })
    fails("timeout", nil, "drip", { timeout = 0.3 })
  end)

  it("after interim answers", function()
    server:set("interim", "HTTP/1.1 103 Early Hints\r\nContent-Encoding: gzip\r\n\r\n" .. good)
    assert.equal(7, assert(check "interim").remaining)
  end)
end)

describe("a redirect", function()
  it("is never followed: the other place sees nothing", function()
    for _, status in ipairs { 301, 302, 303, 307, 308 } do
      server:set("away", support.response(status, "", { Location = server:url("good") .. "/v1/credits" }))
      fails("protocol", "redirect", "away")
    end
    for _, request in ipairs(server:log()) do assert.equal("away", request.behaviour) end
    assert.equal(5, count_requests())
  end)
end)

describe("trying again:", function()
  it("what may pass is tried `retries` times more", function()
    for _, status in ipairs { 408, 425, 429, 500, 502, 503, 504 } do
      server:clear()
      server:set("down", support.response(status, "{}"))
      local failure = fails(status == 429 and "rate_limited" or "unavailable", nil, "down", { retries = 1 })
      assert.equal(2, failure.attempts)
      assert.is_true(failure.retryable)
      assert.equal(2, count_requests())
    end
  end)

  it("a connection that is closed before an answer is tried again", function()
    assert.equal(3, fails("network", nil, "close-early", { retries = 2 }).attempts)
  end)

  it("so is one that is closed after an interim answer", function()
    server:set("hint", "HTTP/1.1 103 Early Hints\r\n\r\n", { close = true })
    assert.equal(2, fails("network", nil, "hint", { retries = 1 }).attempts)
  end)

  it("what will not pass is not", function()
    for _, status in ipairs { 400, 401, 402, 403, 404, 410, 422, 302, 204 } do
      server:set("no", support.response(status, "{}"))
      local _, failure = check("no", { retries = 3 })
      assert.equal(1, failure.attempts)
    end
    assert.equal(9, count_requests())
  end)

  it("a provider's own code decides: Suno's exhausted is not tried again, its rate limit is", function()
    local function suno(code, status)
      server:clear()
      server:set("suno", support.response(status, ('{"code":%d,"msg":"m","data":null}'):format(code)))
      local _, failure = voicecredits.suno { api_key = "k", base_url = server:url "suno", retries = 1 }
      return failure.kind, count_requests()
    end
    assert.same({ "exhausted", 1 }, { suno(429, 200) })
    assert.same({ "exhausted", 1 }, { suno(429, 429) })
    for _, code in ipairs { 405, 430 } do assert.same({ "rate_limited", 2 }, { suno(code, 200) }) end
    for _, code in ipairs { 455, 500 } do assert.same({ "unavailable", 2 }, { suno(code, 200) }) end
  end)

  it("ends in the balance when the server recovers", function()
    local session = assert(voicecredits.session())
    server:set("mend", support.response(503, "{}", { ["Retry-After"] = "1" }))
    local id = session:submit("supertone", { api_key = "k", base_url = server:url "mend" })
    assert.is_false(session:wait(0.3))
    server:set("mend", good)
    local balance = assert(session:take(id, math.huge))
    assert.equal(2, balance.attempts)
    assert.is_true(balance.elapsed >= 1)
    session:close()
  end)

  it("Retry-After is honoured whole: what does not fit is told at once", function()
    server:set("later", support.response(429, "{}", { ["Retry-After"] = "30" }))
    local failure = fails("rate_limited", nil, "later", { retries = 5, timeout = 10 })
    assert.equal(30, failure.retry_after)
    assert.equal(1, failure.attempts)
    assert.is_true(failure.elapsed < 9)
  end)
end)

describe("many at once", function()
  it("one that hangs holds back nobody: five rows in order, two balances and three failures", function()
    local sandbox = support.sandbox()
    local here = sandbox:url()
    local rows = voicecredits.check_all({
      { provider = "supertone", api_key = "sandbox", base_url = here },
      { provider = "suno", api_key = "k", base_url = server:url "hang" },
      { provider = "fish", api_key = "k", base_url = "http://127.0.0.1:1" },
      { provider = "srtgen", api_key = "wrong", base_url = here, account = "other" },
      { provider = "breeze", api_key = "sandbox", base_url = here },
    }, { timeout = 1, retries = 0 })
    sandbox:stop()
    local told = {}
    for i, row in ipairs(rows) do told[i] = row.provider .. "/" .. row.account .. " " .. (row.failure and row.failure.kind or row.balance.exact) end
    assert.same({ "supertone/default 123", "suno/default timeout", "fish/default network", "srtgen/other authentication",
                  "breeze/default 0.5" }, told)
  end)

  it("run side by side: five that take 300 ms each take less than 1.5 times as long as one", function()
    server:set("slow", good, { delay = 0.3 })
    local accounts = {}
    for i = 1, 5 do accounts[i] = { provider = "supertone", api_key = "k" .. i, base_url = server:url "slow" } end
    local function longest(list)
      local elapsed = 0
      for _, row in ipairs(voicecredits.check_all(list)) do elapsed = math.max(elapsed, assert(row.balance).elapsed) end
      return elapsed
    end
    local one, five = longest { accounts[1] }, longest(accounts)
    assert.is_true(five < 1.5 * one, ("%.3f s beside %.3f s"):format(five, one))
  end)

  local function peak(limits, base_urls)
    server:set("busy", good, { delay = 0.02 })
    server:clear()
    local session = assert(voicecredits.session(limits))
    local accounts = {}
    for i = 1, 30 do accounts[i] = { provider = "supertone", api_key = "k", base_url = base_urls[i % #base_urls + 1] } end
    for _, row in ipairs(voicecredits.check_all(accounts, { session = session })) do assert.equal(7, row.balance.remaining) end
    session:close()
    return server:count().peak
  end

  it("keep to the limits of their session, for each host and in all", function()
    local here = server:url "busy"
    local there = here:gsub("127%.0%.0%.1", "localhost")
    assert.equal(3, peak({ max_in_flight = 6, max_per_host = 3 }, { here }))
    assert.equal(4, peak({ max_in_flight = 4, max_per_host = 3 }, { here, there }))
  end)

  it("keep the connections of more hosts than may be asked at once", function()
    local others = { support.raw_server(), support.raw_server() }
    local servers = { server, others[1], others[2] }
    local session = assert(voicecredits.session { max_in_flight = 1 })
    for _, one in ipairs(servers) do one:set("good", good) one:clear() end
    for _ = 1, 3 do
      for _, one in ipairs(servers) do
        assert(voicecredits.supertone { api_key = "k", base_url = one:url "good", session = session })
      end
    end
    session:close()
    for _, one in ipairs(servers) do assert.equal(1, one:count().connections) end
    for _, one in ipairs(others) do one:stop() end
  end)

  it("wait in line no longer than their timeout, and the ends of others make room", function()
    local session = assert(voicecredits.session { max_in_flight = 4, max_per_host = 1 })
    server:set("good", good)
    local accounts = {}
    for i = 1, 4 do accounts[i] = { provider = "suno", api_key = "k", base_url = server:url "hang", timeout = i == 1 and 1 or 0.2 } end
    accounts[5] = { provider = "supertone", api_key = "k", base_url = "http://localhost:" .. server.port .. "/good", timeout = 5 }
    local rows = voicecredits.check_all(accounts, { session = session })
    for i = 1, 4 do
      assert.equal("timeout", rows[i].failure.kind)
      assert.equal(i == 1 and 1 or 0, rows[i].failure.attempts) -- the others never left the line
      assert.is_true(rows[i].failure.elapsed < 1.5)
    end
    assert.is_true(assert(rows[5].balance).elapsed < rows[2].failure.elapsed)
    session:close()
  end)
end)

describe("the environment's proxies", function()
  it("never see what goes to a loopback host in the clear", function()
    local command = ([[http_proxy=http://127.0.0.1:1 all_proxy=http://127.0.0.1:1 HTTP_PROXY=http://127.0.0.1:1 %s -e '
      print((require "voicecredits".supertone { api_key = "k", base_url = "%s", retries = 0 }))']]):format(
      os.getenv "LUA" or "lua5.4", server:url "good")
    server:set("good", good)
    local pipe = assert(io.popen(command))
    assert.equal("supertone/default: 7 credits\n", pipe:read "*a")
    pipe:close()
  end)
end)
