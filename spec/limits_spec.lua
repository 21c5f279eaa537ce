-- A check ends within its timeout whatever holds it up, and of ten thousand every one comes back once.

local nginx = require "spec.support.nginx"
local socket = require "socket"
local support = require "spec.support.server"
local timing = require "spec.support.timing"
local voicecredits = require "voicecredits"

local lua, build = os.getenv "LUA" or "lua5.4", os.getenv "BUILD" or "build/5.4"

local LIMIT = 0.05 -- seconds that a check may outlive its timeout

local server
setup(function()
  server = support.raw_server()
  server:set("good", support.response(200, '{"balance":7}'))
end)
teardown(function() server:stop() end)

-- A port where connections are made, by the kernel, and nobody says a word.
local function silent_listener()
  local listener = assert(socket.bind("127.0.0.1", 0, 64))
  local _, port = listener:getsockname()
  return listener, port
end

-- A port where not even that: its queue is full, and the kernel drops what comes.
local function full_listener()
  local listener = assert(socket.tcp())
  assert(listener:bind("127.0.0.1", 0))
  assert(listener:listen(0))
  local _, port = listener:getsockname()
  local fillers = {}
  for i = 1, 3 do
    fillers[i] = socket.tcp()
    fillers[i]:settimeout(0.05)
    fillers[i]:connect("127.0.0.1", port)
  end
  return { close = function()
    for _, filler in ipairs(fillers) do filler:close() end
    listener:close()
  end }, port
end

-- Sums up a check that has ended: what came of it in how many tries.
local function told(balance, failure)
  return balance and "answered" or failure and ("%s after %d"):format(failure.kind, failure.attempts) or "nothing"
end

local function submit(session, options)
  local all = { api_key = "k", retries = 0, timeout = 60 }
  for name, value in pairs(options) do all[name] = value end
  return assert(session:submit("supertone", all))
end

-- A check, again and again where the machine is slow, must end by `timeout` as `expected`. `begin` gets a new session and
-- returns the check's id.
local function ends(expected, timeout, begin, limits)
  local found
  local over = timing.overshoot(timeout, LIMIT, function()
    local session = assert(voicecredits.session(limits))
    found = told(session:take(begin(session), timeout + 1))
    session:close()
  end)
  assert.equal(expected, found)
  assert.is_true(over <= LIMIT, ("%.0f ms after its timeout"):format(over * 1000))
end

-- The same for a check with these options, and nothing before it.
local function alone(expected, timeout, options)
  options.timeout = options.timeout or timeout
  ends(expected, timeout, function(session) return submit(session, options) end)
end

describe("a check ends at its timeout", function()
  local function with_listener(make, test)
    local listener, port = make()
    local ok, problem = pcall(test, port)
    listener:close()
    if not ok then error(problem, 0) end
  end

  it("in line for a place", function()
    for _, limits in ipairs { { max_in_flight = 1 }, { max_per_host = 1 } } do
      ends("timeout after 0", 0.2, function(session)
        submit(session, { base_url = server:url "hang" })
        return submit(session, { base_url = server:url "good", timeout = 0.2 })
      end, limits)
    end
  end)

  it("while the connection is not made", function()
    with_listener(full_listener, function(port)
      local url = ("http://127.0.0.1:%d"):format(port)
      alone("timeout after 1", 0.3, { base_url = url })
      alone("network after 1", 0.3, { base_url = url, connect_timeout = 0.3, timeout = 2 })
    end)
  end)

  it("in a TLS handshake that is not answered", function()
    with_listener(silent_listener, function(port)
      local url = ("https://127.0.0.1:%d"):format(port)
      alone("timeout after 1", 0.3, { base_url = url })
      alone("network after 1", 0.3, { base_url = url, connect_timeout = 0.3, timeout = 2 })
    end)
  end)

  it("beside another that waits longer for the same TLS handshake", function()
    with_listener(silent_listener, function(port)
      local url = ("https://127.0.0.1:%d"):format(port)
      ends("timeout after 1", 0.2, function(session)
        submit(session, { base_url = url })
        return submit(session, { base_url = url, timeout = 0.2 })
      end)
    end)
  end)

  it("when the request is not answered, on a new connection or one that was used before", function()
    alone("timeout after 1", 0.2, { base_url = server:url "hang" })
    ends("timeout after 1", 0.2, function(session)
      assert(session:take(submit(session, { base_url = server:url "good" }), math.huge))
      return submit(session, { base_url = server:url "hang", timeout = 0.2 })
    end)
  end)

  it("when the headers come one byte at a time", function()
    server:set("drip", "HTTP/1.1 200 OK\r\nX-Filler: " .. ("y"):rep(1000) .. "\r\n\r\n", { drip = 50 })
    alone("timeout after 1", 0.3, { base_url = server:url "drip" })
  end)

  it("when the body comes one byte at a time", function()
    server:set("drip", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\ny", { drip = 200, ["repeat"] = 1000 })
    alone("timeout after 1", 0.3, { base_url = server:url "drip" })
  end)

  it("when the server always says something, and never the end", function()
    local interim = "HTTP/1.1 103 Early Hints\r\n\r\n"
    server:set("interim", interim .. interim, { drip = 2000, ["repeat"] = 1000 })
    alone("timeout after 1", 0.3, { base_url = server:url "interim" })
    server:set("chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\ny\r\n", { drip = 600, ["repeat"] = 1000 })
    alone("timeout after 1", 0.3, { base_url = server:url "chunks" })
  end)

  it("when the proxy does not answer, or not to the end", function()
    with_listener(silent_listener, function(port)
      for _, scheme in ipairs { "http", "socks5h" } do
        alone("timeout after 1", 0.2, { base_url = "https://api.invalid", proxy = ("%s://127.0.0.1:%d"):format(scheme, port) })
      end
    end)
    server:set("api.invalid:443", "HTTP/1.1 200 OK\r\nX-Filler: " .. ("y"):rep(1000) .. "\r\n\r\n", { drip = 50 })
    alone("timeout after 1", 0.3, { base_url = "https://api.invalid", proxy = "http://127.0.0.1:" .. server.port })
  end)

  it("when it is tried again and again", function()
    server:set("down", support.response(503, "{}"))
    local found
    local over = timing.overshoot(0.5, LIMIT, function()
      local session = assert(voicecredits.session())
      found = select(2, session:take(submit(session, { base_url = server:url "down", retries = 100, timeout = 0.5 }), 1.5))
      session:close()
    end)
    assert.is_true(over <= LIMIT, ("%.0f ms after its timeout"):format(over * 1000))
    assert.equal("unavailable", found.kind)
    assert.is_true(found.attempts > 1)
  end)

  -- Begins a check that is told to come back after a second, and does `meanwhile` in that second.
  local function delayed(meanwhile)
    return function(session)
      server:set("later", support.response(503, "{}", { ["Retry-After"] = "1" }))
      local id = submit(session, { base_url = server:url "later", retries = 3, timeout = 1.2 })
      assert.is_false(session:wait(0.3))
      meanwhile(session)
      return id
    end
  end

  it("in line again, after the wait that the server asked for", function()
    ends("timeout after 1", 1.2, delayed(function(session) submit(session, { base_url = server:url "hang" }) end),
      { max_in_flight = 1 })
  end)

  it("when the second try is not answered", function()
    ends("timeout after 2", 1.2, delayed(function() server:set("later", "", { delay = 5 }) end))
  end)
end)

describe("a name server that does not answer", function()
  -- What a script tells in a process where names that begin with "hanging." are looked up for six seconds.
  local function run(script)
    local pipe = assert(io.popen(("LD_PRELOAD=%s/slow_resolver.so timeout 20 %s -e '%s' 2>&1; echo status $?")
      :format(build, lua, (script:gsub("URL", server:url "good")))))
    local text = pipe:read "*a"
    pipe:close()
    return text
  end

  local head = [[
    local timing = require "spec.support.timing"
    local voicecredits = require "voicecredits"
    local session = assert(voicecredits.session())
    local function submit(base, timeout, connect_timeout)
      return session:submit("supertone", { api_key = "k", base_url = base, timeout = timeout, retries = 0,
        connect_timeout = connect_timeout })
    end
  ]]

  it("holds no check longer than its timeout or its connect_timeout, and no other check at all", function()
    local text = run(head .. [[
      for _, times in ipairs { { 0.3 }, { 9, 0.3 } } do
        local failure, beside
        local over = timing.overshoot(0.3, 0.05, function()
          local id, other = submit("https://hanging.example", times[1], times[2]), submit("URL", 9)
          beside = session:take(other, math.huge)
          failure = select(2, session:take(id, math.huge))
        end)
        io.write(("%s %d %s %s\n"):format(failure.kind, failure.attempts, tostring(beside.elapsed < failure.elapsed),
          tostring(over <= 0.05 or over)))
      end
      session:close()
    ]])
    assert.equal("timeout 1 true true\nnetwork 1 true true\nstatus 0\n", text)
  end)

  it("holds neither a session that is closed nor the end of the process", function()
    local function run_time(script) return timing.time(function() assert.equal("status 0\n", run(head .. script)) end) end
    for _, how in ipairs { "session:close()", "os.exit(0)", "" } do
      local without = run_time("session:wait(0.1) " .. how)
      local with = run_time("submit([[https://hanging.example]], 60) session:wait(0.1) " .. how)
      assert.is_true(with - without < 2, ("%s: %.1f s instead of %.1f"):format(how, with, without))
    end
  end)
end)

describe("ten thousand checks", function()
  local COUNT = 10000

  -- What nginx answers, and what is to come of it: in how many tries where one more is allowed.
  local failing = {
    { "denied", "return 401 '{}';", "authentication after 1" },
    { "limited", "return 429 '{}';", "rate_limited after 2" },
    { "down", "return 503 '{}';", "unavailable after 2" },
    { "garbage", "return 200 'garbage';", "protocol after 1" },
    { "redirect", "return 302 /ok;", "protocol after 1" },
    { "closed", "return 444;", "network after 2" },
    { "cut", "content_by_lua_block { ngx.header.content_length = 100 ngx.print '{' ngx.flush(true) ngx.exit(444) }", "network after 1" },
    { "reset", nil, "network after 1" },
    { "refused", nil, "network after 2" },
  }

  local hosts
  local function start_hosts()
    local locations = { "default_type application/json;", "location /ok { return 200 '{\"balance\":7}'; }" }
    for _, case in ipairs(failing) do
      if case[2] then locations[#locations + 1] = ("location /%s { %s }"):format(case[1], case[2]) end
    end
    hosts = nginx.start { server = table.concat(locations, "\n") }
    server:set("reset", 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"bal', { reset = true })
  end
  teardown(function()
    if hosts then hosts:stop() end
  end)

  local function url_of(name)
    if name == "reset" then return server:url "reset" end
    return name == "refused" and "http://127.0.0.1:1" or ("http://127.0.0.1:%d/%s"):format(hosts.port, name)
  end

  -- Every second one fails, in the ways above by turns.
  local function submit_all(session)
    local expected, urls = {}, {}
    for i, case in ipairs(failing) do urls[i] = url_of(case[1]) end
    for i = 1, COUNT do
      local which = i % 2 == 0 and i / 2 % #failing + 1
      local id = submit(session, { base_url = which and urls[which] or url_of "ok", retries = 1 })
      assert.is_nil(expected[id])
      expected[id] = which and failing[which][3] or "answered"
    end
    return expected
  end

  local run = nginx.is_there() and it or pending
  run("of which half fail come back once each, with what became of them", function()
    start_hosts()
    local session = assert(voicecredits.session { max_in_flight = 64, max_per_host = 64 })
    local expected = submit_all(session)
    local count = 0
    while session:pending() > 0 do
      assert.is_true(session:wait(20), session:pending() .. " do not come back")
      for id, balance, failure in session.next, session do
        if expected[id] ~= told(balance, failure) then assert.equal(expected[id] or "nothing, a second time", told(balance, failure)) end
        expected[id] = nil
        count = count + 1
      end
    end
    session:close()
    assert.equal(COUNT, count)
    assert.is_nil(next(expected))
    assert.is_nil(session:next())
  end)
end)
