-- The session: submit, next, take, wait, cancel, close, and what several that share one see of each other.

local voicecredits = require "voicecredits"
local process = require "process"
local support = require "spec.support.server"

local server

setup(function()
  server = support.raw_server()
  server:set("good", support.response(200, '{"balance":7}'))
  server:set("slow", support.response(200, '{"balance":8}'), { delay = 0.15 })
end)
teardown(function() server:stop() end)

local session
before_each(function() session = assert(voicecredits.session()) end)
after_each(function() session:close() end)

local function submit(behaviour, options)
  local all = { api_key = "k", base_url = server:url(behaviour or "good"), retries = 0, timeout = 5 }
  for name, value in pairs(options or {}) do all[name] = value end
  return session:submit("supertone", all)
end

local function raises(text, ...)
  local ok, problem = pcall(...)
  assert.is_false(ok)
  assert.truthy(tostring(problem):find(text, 1, true), problem)
end

describe("a session", function()
  it("gives every check back once, in a loop over next", function()
    local expected, count = {}, 0
    for i = 1, 20 do expected[submit(i % 2 == 0 and "good" or "close-early", { account = "a" .. i })] = "a" .. i end
    assert.equal(20, session:pending())
    while session:pending() > 0 do
      session:wait()
      for id, balance, failure in session.next, session do
        assert.equal(expected[id], (balance or failure).account)
        expected[id] = nil
        count = count + 1
      end
    end
    assert.equal(20, count)
    assert.is_nil(next(expected))
    assert.is_nil(session:next())
  end)

  it("returns at once from submit and from next", function()
    assert.equal("number", type(submit "hang"))
    assert.is_nil(session:next())
    assert.is_nil((session:next()))
    assert.equal(1, session:pending())
  end)

  it("has a failure for a wrong configuration, which is never pending", function()
    local id, failure = session:submit("fish", { api_key = "" })
    assert.is_nil(id)
    assert.equal("configuration", failure.kind)
    assert.equal(0, session:pending())
  end)

  it("raises for what is a programming mistake", function()
    raises("the nearest is 'fish'", session.submit, session, "fisch")
    raises("nearest is 'api_key'", session.submit, session, "fish", { apikey = "k" })
    raises("no check with this id", session.take, session, 77)
    raises("", session.next, {})
    raises("", session.next, nil)
  end)

  it("sleeps in wait until something has finished, or the time is over", function()
    assert.is_false(session:wait())
    assert.is_false(session:wait(0))
    submit "hang"
    assert.is_false(session:wait(0.05))
    submit "slow"
    assert.is_true(session:wait(5))
    assert.is_true(session:wait(5)) -- still there
    assert.truthy(session:next())
    assert.is_false(session:wait(0.01))
  end)

  it("prints what it is", function()
    submit "hang"
    assert.equal("voicecredits.session (open, 1 pending)", tostring(session))
    session:close()
    assert.equal("voicecredits.session (closed, 1 pending)", tostring(session))
    assert.is_false(getmetatable(session))
  end)
end)

describe("take", function()
  it("keeps a check's answer from next, and the answers of others for them", function()
    local mine, other = submit "slow", submit "good"
    assert.same({}, { session:take(mine) })
    local balance = session:take(mine, math.huge)
    assert.equal(8, balance.remaining)
    local id, second = session:next()
    assert.equal(other, id)
    assert.equal(7, second.remaining)
    assert.equal(0, session:pending())
    raises("no check with this id", session.take, session, mine)
  end)

  it("waits as long as it is told", function()
    local id = submit "hang"
    assert.same({}, { session:take(id, 0.05) })
    assert.same({}, { session:take(id, 0) })
    session:cancel(id)
    local balance, failure = session:take(id, math.huge)
    assert.is_nil(balance)
    assert.equal("cancelled", failure.kind)
  end)

  it("takes an answer that next had not asked for yet", function()
    local id = submit "good"
    assert.is_true(session:wait())
    assert.equal(7, session:take(id).remaining)
    assert.is_nil(session:next())
  end)

  it("does not spin while it waits beside an answer that is kept for next", function()
    local slow = submit "slow"
    submit "good"
    local before = os.clock()
    for _ = 1, 3 do session:take(slow, 0.04) end
    assert.is_true(os.clock() - before < 0.06)
    assert.truthy(session:next())
  end)
end)

describe("cancel", function()
  it("brings a running check back as cancelled", function()
    local id = submit "hang"
    assert.is_true(session:cancel(id))
    assert.is_true(session:wait(5))
    local back, balance, failure = session:next()
    assert.equal(id, back)
    assert.is_nil(balance)
    assert.equal("cancelled", failure.kind)
    assert.is_false(session:cancel(id))
    assert.is_false(session:cancel(99))
  end)

  it("reaches a check that has its answer, but has not told it", function()
    local id = submit "good"
    process.poll(session:pollfd(), 5000)
    assert.is_true(session:cancel(id))
    local _, failure = session:take(id, math.huge)
    assert.equal("cancelled", failure.kind)
  end)

  it("reaches those that stand in line, and those that wait before a retry", function()
    local narrow = assert(voicecredits.session { max_per_host = 1 })
    server:set("later", support.response(503, "{}", { ["Retry-After"] = "3" }))
    local ids = {}
    for i = 1, 3 do ids[i] = narrow:submit("supertone", { api_key = "k", base_url = server:url "hang" }) end
    ids[4] = narrow:submit("supertone", { api_key = "k", base_url = "http://localhost:" .. server.port .. "/later" })
    narrow:wait(0.1)
    for i = 1, 4 do assert.is_true(narrow:cancel(ids[i])) end
    for i = 4, 1, -1 do
      local _, failure = narrow:take(ids[i], 2)
      assert.equal("cancelled", failure.kind)
    end
    narrow:close()
  end)
end)

describe("a check that is abandoned", function()
  local function settle(pending)
    for _ = 1, 500 do
      if session:pending() == pending then break end
      assert.is_nil(session:next())
      process.poll(session:pollfd(), 10)
    end
    assert.equal(pending, session:pending())
  end

  it("is ended and forgotten, running or done, kept for next or held for take", function()
    local running, kept, held = submit "hang", submit "good", submit "good"
    session:take(held)
    for _ = 1, 500 do
      if session:dirty() and not session:cancel(kept) and not session:cancel(held) then break end
      session:wait(0.01)
    end
    for _, id in ipairs { running, kept, held, kept, 99 } do session:abandon(id) end
    settle(0)
    assert.is_false(process.poll(session:pollfd(), 0))
  end)

  it("is the one of a coroutine that was collected, or whose error was thrown", function()
    local function begin(wait)
      local thread = coroutine.create(function()
        voicecredits.check_all({ { provider = "supertone" }, { provider = "supertone" } }, { api_key = "test-key", session = session,
          base_url = server:url "hang", wait = wait })
      end)
      coroutine.resume(thread)
    end
    for _ = 1, 5 do
      begin(coroutine.yield)
      begin(function() error("thrown") end)
    end
    assert.equal(20, session:pending())
    collectgarbage()
    collectgarbage()
    settle(0)
  end)
end)

describe("a finalizer that uses the session", function()
  it("in the middle of next finds the other answers, and every one comes once", function()
    server:set("large", support.response(200, '{"balance":1,"x":[' .. ('{"a":["b"]},'):rep(5000) .. '1]}'))
    local found, armed = {}, true
    local function arm()
      if not armed then return end
      local function collected()
        local id = session:next()
        if id then found[#found + 1] = id end
        arm()
      end
      if rawget(_G, "newproxy") then
        getmetatable(newproxy(true)).__gc = collected
      else
        setmetatable({}, { __gc = collected })
      end
    end
    for _ = 1, 12 do submit "large" end
    arm()
    while session:pending() > 0 do
      session:wait(1)
      local id = session:next()
      if id then found[#found + 1] = id end
    end
    armed = false
    collectgarbage()
    table.sort(found)
    assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 }, found)
  end)

  it("closes it in the middle of next, and what was to be tried again is cancelled", function()
    server:set("down", support.response(503, '{"x":[' .. ('{"a":["b"]},'):rep(20000) .. '1]}'))
    for _ = 1, 4 do submit("down", { retries = 3 }) end
    local function close() session:close() end
    if rawget(_G, "newproxy") then
      getmetatable(newproxy(true)).__gc = close
    else
      setmetatable({}, { __gc = close })
    end
    local count = 0
    while session:pending() > 0 do
      session:wait(1)
      for _, balance, failure in session.next, session do
        assert.is_nil(balance)
        assert.truthy(failure.kind == "cancelled" or failure.kind == "unavailable")
        count = count + 1
      end
    end
    assert.equal(4, count)
  end)
end)

describe("close", function()
  it("brings back what was pending as cancelled, once", function()
    submit "hang"
    submit "hang"
    session:close()
    session:close()
    for _ = 1, 2 do
      local _, balance, failure = session:next()
      assert.is_nil(balance)
      assert.equal("cancelled", failure.kind)
    end
    assert.is_nil(session:next())
    assert.equal(0, session:pending())
    assert.is_false(session:wait())
  end)

  it("keeps the answers that had come before", function()
    local id = submit "good"
    assert.is_true(session:wait())
    session:close()
    assert.equal(7, session:take(id).remaining)
  end)

  it("makes the rest a clear error", function()
    session:close()
    raises("the session is closed", session.submit, session, "fish", { api_key = "k" })
    raises("the session is closed", session.pollfd, session)
    raises("the session is closed", voicecredits.fish, { api_key = "k", session = session })
    assert.is_false(session:cancel(1))
  end)

  it("happens by itself when the session is collected", function()
    local function threads()
      local count = 0
      for _ in io.popen(("ls /proc/%d/task"):format(process.id())):lines() do count = count + 1 end
      return count
    end
    collectgarbage()
    local before = threads()
    for _ = 1, 3 do assert(voicecredits.session()):submit("supertone", { api_key = "k", base_url = server:url "hang" }) end
    assert.equal(before + 3, threads())
    collectgarbage()
    collectgarbage()
    assert.equal(before, threads())
  end)

  if _VERSION == "Lua 5.4" then
    it("happens at the end of a block by <close>", function()
      local inner
      load([[local voicecredits, note = ... do local s <close> = voicecredits.session() note(s) end]])(voicecredits,
        function(s) inner = s end)
      assert.truthy(tostring(inner):find("closed", 1, true))
    end)
  end
end)

describe("for event loops", function()
  local function readable(fd) return process.poll(fd, 0) end

  it("one descriptor is readable as long as something is to be taken", function()
    local fd = session:pollfd()
    assert.equal(fd, session:getfd())
    assert.is_false(readable(fd))
    submit "good"
    submit "good"
    while session:pending() == 2 do
      process.poll(fd, 5000)
      session:next()
    end
    process.poll(fd, 5000)
    assert.is_true(readable(fd))
    assert.truthy(session:next())
    assert.is_nil(session:next())
    assert.is_false(readable(fd))
  end)

  it("it stays readable for next after somebody's take has found an answer for next", function()
    local slow = submit "slow"
    submit "good"
    assert.truthy(session:take(slow, math.huge))
    assert.is_true(session:dirty())
    assert.is_true(readable(session:pollfd()))
    assert.truthy(session:next())
    assert.is_false(session:dirty())
    assert.is_false(readable(session:pollfd()))
  end)

  it("it wakes the one whose answer another has come across", function()
    local mine, other
    repeat mine = submit "good" until not session:take(mine) -- claimed before its answer is there, however slow this process
    other = submit "slow"
    assert.truthy(session:take(other, math.huge))
    assert.is_true(readable(session:pollfd()))
    assert.truthy(session:take(mine))
    assert.is_false(readable(session:pollfd()))
  end)

  it("it does not stay readable for one who never comes for its answer", function()
    local mine, other = submit "good", submit "hang"
    session:take(mine) -- claimed, and never asked for again
    session:take(other)
    process.poll(session:pollfd(), 5000)
    assert.same({}, { session:take(other) }) -- keeps the answer of the one that does not come
    local looks = 0
    while readable(session:pollfd()) do
      assert.same({}, { session:take(other) })
      looks = looks + 1
      assert.is_true(looks < 100)
    end
    assert.is_true(looks > 0)
    session:cancel(other)
  end)

  it("it speaks their protocols", function()
    assert.equal("r", session:events())
    assert.is_nil(session:timeout())
    assert.is_false(session:dirty())
  end)

  it("it is not inherited by programs that the host starts", function()
    assert.is_false(process.is_inherited(session:pollfd()))
  end)
end)

describe("coroutines that wait in their own way", function()
  it("share a session, and each gets its own answers", function()
    local results, threads = {}, {}
    for i = 1, 50 do
      threads[i] = coroutine.create(function()
        results[i] = voicecredits.supertone { api_key = "k", account = "a" .. i, session = session, wait = coroutine.yield,
          base_url = server:url(i % 3 == 0 and "slow" or "good") }
      end)
    end
    local running = #threads
    while running > 0 do
      running = 0
      for _, thread in ipairs(threads) do
        if coroutine.status(thread) ~= "dead" then
          assert(coroutine.resume(thread))
          running = running + 1
        end
      end
      session:wait(0.01)
    end
    for i = 1, 50 do
      assert.equal("a" .. i, results[i].account)
      assert.equal(i % 3 == 0 and 8 or 7, results[i].remaining)
    end
    assert.equal(0, session:pending())
  end)

  it("in check_all and ensure too", function()
    local waits = 0
    local function wait(s)
      waits = waits + 1
      assert.equal(session, s)
      s:wait(1)
    end
    local rows = voicecredits.check_all({ { provider = "supertone", api_key = "k" }, { provider = "supertone", api_key = "k" } },
      { base_url = server:url "slow", session = session, wait = wait })
    assert.equal(8, rows[2].balance.remaining)
    assert.truthy(voicecredits.ensure("supertone", 8, { api_key = "k", base_url = server:url "slow", session = session, wait = wait }))
    assert.is_true(waits >= 2)
  end)
end)

describe("after a fork", function()
  -- Runs `child` in a forked process; its error is this one's.
  local function in_child(child)
    local report = os.tmpname()
    local id = process.fork()
    if id == 0 then
      local ok, problem = pcall(child)
      local file = io.open(report, "w")
      file:write(ok and "fine" or tostring(problem))
      file:close()
      process.leave(0)
    end
    assert.equal(0, process.wait(id))
    local file = io.open(report)
    local text = file:read "*a"
    file:close()
    os.remove(report)
    assert.equal("fine", text)
  end

  it("the child refuses its parent's session, and checks on a session of its own", function()
    assert(voicecredits.supertone { api_key = "k", base_url = server:url "good" })
    local id = submit "slow"
    in_child(function()
      local nothing, failure = session:submit("supertone", { api_key = "k" })
      assert.is_nil(nothing)
      assert.equal("configuration", failure.kind)
      assert.truthy(failure.message:find("fork", 1, true))
      raises("fork", session.next, session)
      raises("fork", session.wait, session)
      assert.equal(0, session:pending())
      session:close()
      assert.equal(7, assert(voicecredits.supertone { api_key = "k", base_url = server:url "good" }).remaining)
      collectgarbage()
    end)
    assert.equal(8, session:take(id, math.huge).remaining) -- the parent's is as it was
  end)
end)
