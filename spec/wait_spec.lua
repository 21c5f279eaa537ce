-- voicecredits.wait: checks inside cqueues, copas and luv, many on one session, on good days and on bad ones.

-- Debian installs copas for 5.1 and 5.2 only; it runs under every later version from there.
if not pcall(require, "copas") then
  local older = package.path:gsub("/lua/" .. _VERSION:match "%d%.%d" .. "/", "/lua/5.1/")
  package.path = package.path .. ";" .. older
end

local process = require "process"
local support = require "spec.support.server"
local voicecredits = require "voicecredits"
local wait = require "voicecredits.wait"

local lua = os.getenv "LUA" or "lua5.4"
local resume = coroutine.resume

local server
setup(function()
  server = support.raw_server()
  server:set("good", support.response(200, '{"balance":7}'))
  server:set("slow", support.response(200, '{"balance":8}'), { delay = 0.1 })
  server:set("slower", support.response(200, '{"balance":9}'), { delay = 0.2 })
end)
teardown(function() server:stop() end)

local session
before_each(function() session = assert(voicecredits.session { max_per_host = 100, max_in_flight = 100 }) end)
after_each(function() session:close() end)

-- Runs functions as coroutines of a loop until they and the loop have ended. Returns their errors.
local loops = {}

function loops.cqueues(functions)
  local loop, problems = require "cqueues".new(), {}
  for _, work in ipairs(functions) do loop:wrap(work) end
  for problem in loop:errors(20) do problems[#problems + 1] = problem end
  assert.equal(0, loop:count())
  return problems
end

function loops.copas(functions)
  local copas = require "copas"
  local problems, left, started = {}, #functions, os.time()
  for _, work in ipairs(functions) do
    copas.addthread(function()
      copas.setErrorHandler(function(problem)
        problems[#problems + 1] = problem
        left = left - 1
      end)
      work()
      left = left - 1
    end)
  end
  while left > 0 do
    copas.step(5)
    assert.is_true(os.time() - started < 20, "asleep for ever")
  end
  return problems
end

function loops.luv(functions)
  local uv = require "luv"
  for _, work in ipairs(functions) do coroutine.wrap(work)() end -- an error later on ends this process
  local guard = uv.new_timer()
  uv.update_time()
  guard:start(20000, 0, function() error("asleep for ever") end)
  guard:unref()
  uv.run()
  assert.is_true(guard:is_active())
  guard:close()
  uv.run()
  return {}
end

-- The options of a check in a loop; `waits` counts how often it was woken.
local function options(name, behaviour, waits, more)
  local all = { api_key = "k", base_url = server:url(behaviour), retries = 0, timeout = 10, session = session,
    wait = function(...)
      if waits then waits.count = (waits.count or 0) + 1 end
      return wait[name](...)
    end }
  for option, value in pairs(more or {}) do all[option] = value end
  return all
end

local function check(...) return voicecredits.supertone(options(...)) end

-- CPU seconds of this process per second that passes while `work` runs.
local function load_of(work)
  local cqueues = require "cqueues"
  local cpu, wall = os.clock(), cqueues.monotime()
  work()
  return (os.clock() - cpu) / (cqueues.monotime() - wall)
end

-- Calls `work` when `holder` is collected.
local function on_collect(work)
  local newproxy = rawget(_G, "newproxy")
  if not newproxy then return setmetatable({}, { __gc = work }) end
  local proxy = newproxy(true)
  getmetatable(proxy).__gc = work
  return proxy
end

local function lines_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "*a"
  pipe:close()
  return text
end

for _, name in ipairs { "cqueues", "copas", "luv" } do
  local found, reason = pcall(require, name)
  if not found then
    pending(("wait.%s: %s"):format(name, tostring(reason):match "[^\n]*"))
  else
    local run = loops[name]

    describe("wait." .. name, function()
      it("brings a hundred coroutines of one session each its own answer, in any order", function()
        local functions, balances, waits, order = {}, {}, {}, {}
        local behaviours = { "slow", "good", "slower", "good" }
        for i = 1, 100 do
          functions[i] = function()
            balances[i] = assert(check(name, behaviours[i % 4 + 1], waits, { account = "a" .. i }))
            order[#order + 1] = i
          end
        end
        assert.same({}, run(functions))
        for i = 1, 100 do
          assert.equal("a" .. i, balances[i].account)
          assert.equal(({ 8, 7, 9, 7 })[i % 4 + 1], balances[i].remaining)
        end
        assert.equal(100, #order)
        assert.equal(0, session:pending())
        -- At worst every answer wakes all that still wait.
        assert.is_true(waits.count <= 2 * 100 * 101 / 2, waits.count .. " wake-ups")
      end)

      it("sleeps on while nothing comes", function()
        local waits = {}
        local share = load_of(function()
          run { function()
            local _, failure = check(name, "hang", waits, { timeout = 0.5 })
            assert.equal("timeout", failure.kind)
          end, function() assert.equal(7, check(name, "good", waits).remaining) end }
        end)
        assert.is_true(waits.count < 20, waits.count .. " wake-ups")
        assert.is_true(share < 0.3, share)
      end)

      it("sleeps on in check_all when some have answered and one has not", function()
        local waits, rows = {}, nil
        local share = load_of(function()
          run { function()
            local accounts = { { provider = "supertone", base_url = server:url "hang", timeout = 0.5 } }
            for i = 2, 5 do accounts[i] = { provider = "supertone" } end
            rows = voicecredits.check_all(accounts, options(name, "good", waits))
          end }
        end)
        assert.equal("timeout", rows[1].failure.kind)
        assert.equal(7, rows[5].balance.remaining)
        assert.is_true(waits.count < 50, waits.count .. " wake-ups")
        assert.is_true(share < 0.3, share)
      end)

      it("sleeps on beside the answer of one who was collected before it came", function()
        local waits = {}
        local thread = coroutine.create(function()
          return check(name, "good", nil, { wait = coroutine.yield })
        end)
        assert(resume(thread))
        thread = nil -- luacheck: ignore
        collectgarbage()
        local problems
        local share = load_of(function()
          problems = run { function()
            assert.equal(9, check(name, "slower", waits).remaining)
            local _, failure = check(name, "hang", waits, { timeout = 0.4 })
            assert.equal("timeout", failure.kind)
          end }
        end)
        assert.same({}, problems)
        assert.is_true(waits.count < 100, waits.count .. " wake-ups")
        assert.is_true(share < 0.3, share)
      end)

      it("wakes all who wait when the session is closed under them", function()
        local functions, kinds = {}, {}
        for i = 1, 20 do
          functions[i] = function()
            local _, failure = check(name, "hang")
            kinds[i] = failure.kind
          end
        end
        functions[21] = function()
          check(name, "slow")
          session:close()
        end
        assert.same({}, run(functions))
        for i = 1, 20 do assert.equal("cancelled", kinds[i]) end
        assert.equal(0, session:pending())
      end)

      it("wakes them too when that happens in a finalizer", function()
        local functions, kinds = {}, {}
        for i = 1, 5 do
          functions[i] = function()
            local _, failure = check(name, "hang")
            kinds[i] = failure.kind
          end
        end
        functions[6] = function()
          check(name, "good")
          local mine = session
          on_collect(function()
            mine:next()
            mine:close()
            mine:next()
          end)
          collectgarbage()
          collectgarbage()
        end
        assert.same({}, run(functions))
        assert.same({ "cancelled", "cancelled", "cancelled", "cancelled", "cancelled" }, kinds)
      end)

      it("goes through sessions that are opened and closed one after another", function()
        local answers = 0
        assert.same({}, run { function()
          for i = 1, 30 do
            local own = assert(voicecredits.session())
            local balance = assert(check(name, "good", nil, { session = own }))
            if i % 2 == 0 then
              check(name, "good", nil, { session = own, wait = function(...)
                own:close()
                wait[name](...)
              end })
            end
            own:close()
            answers = answers + balance.remaining
          end
        end })
        assert.equal(30 * 7, answers)
      end)

      it("leaves the session to the collector", function()
        local weak = setmetatable({}, { __mode = "k" })
        assert.same({}, run { function()
          local own = assert(voicecredits.session())
          weak[own] = true
          assert(check(name, "good", nil, { session = own }))
        end })
        for _ = 1, 4 do collectgarbage() end
        assert.is_nil(next(weak))
      end)

      it("is an error outside a coroutine", function()
        local ok, problem = pcall(check, name, "good")
        assert.is_false(ok)
        assert.truthy(problem:find("voicecredits.wait." .. name .. " was called outside a coroutine", 1, true), problem)
        assert.is_nil(problem:find("wait.lua", 1, true), problem)
      end)

      it("refuses a parent's session in a forked child, which checks on its own", function()
        local report = os.tmpname()
        local id = process.fork()
        if id == 0 then
          local file = io.open(report, "w")
          local refused = coroutine.wrap(function() return pcall(session.pollfd, session) end)
          local _, problem = refused()
          file:write(tostring(problem), "\n")
          local _, failure = voicecredits.supertone { api_key = "k", session = session, base_url = server:url "good" }
          file:write(tostring(failure and failure.kind), "\n")
          file:flush()
          local problems = name == "luv" and {} or run { function() -- a libuv loop cannot be used after a fork
            local own = assert(voicecredits.session())
            file:write(check(name, "good", nil, { session = own }).remaining, "\n")
          end }
          for _, text in pairs(problems) do file:write(text) end
          file:close()
          process.leave(0)
        end
        assert.equal(0, process.wait(id))
        local file = assert(io.open(report))
        local text = file:read "*a"
        file:close()
        os.remove(report)
        assert.truthy(text:find("before a fork", 1, true), text)
        assert.truthy(text:find("\nconfiguration\n", 1, true), text)
        if name ~= "luv" then assert.truthy(text:find("\n7\n", 1, true), text) end
      end)
    end)
  end
end

-- Those whose coroutine ends badly while its check runs, in the way of each loop.

describe("a coroutine whose error is thrown while its check runs", function()
  -- Waits once, then throws.
  local function broken(name)
    return check(name, "slow", nil, { wait = function(...)
      wait[name](...)
      error "broken"
    end })
  end

  for _, name in ipairs { "cqueues", "copas" } do
    it("takes nothing from the others in " .. name, function()
      if not pcall(require, name) then return pending(name .. " is not here") end
      local balances = {}
      local functions = { function() broken(name) end }
      for i = 2, 20 do
        functions[i] = function() balances[i] = assert(check(name, i % 2 == 0 and "slow" or "slower")) end
      end
      local problems = loops[name](functions)
      assert.equal(1, #problems)
      assert.truthy(problems[1]:find("broken", 1, true))
      for i = 2, 20 do assert.equal(i % 2 == 0 and 8 or 9, balances[i].remaining) end
    end)
  end

  it("is an error of libuv's callback, after all others were resumed", function()
    local script = ([[
      local uv = require "luv"
      local voicecredits, wait = require "voicecredits", require "voicecredits.wait"
      local session = voicecredits.session()
      for i = 1, 3 do
        coroutine.wrap(function()
          voicecredits.supertone { api_key = "k", base_url = "%s", session = session, wait = function(...)
            wait.luv(...)
            print("woken " .. i)
            io.stdout:flush()
            if i == 1 then error "broken" end
          end }
        end)()
      end
      uv.run()
      print "survived"]]):format(server:url "slow")
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write(script)
    file:close()
    local text = lines_of(("timeout 20 %s %s 2>&1; echo status $?"):format(lua, path))
    os.remove(path)
    for _, part in ipairs { "woken 1", "woken 2", "woken 3", "broken" } do
      assert.truthy(text:find(part, 1, true), text)
    end
    assert.is_nil(text:find("status 0", 1, true), text)
    assert.is_nil(text:find("survived", 1, true), text)
  end)
end)

describe("a loop that is given up while its coroutine's check runs", function()
  it("takes nothing from those of another loop", function()
    local cqueues = require "cqueues"
    local other = cqueues.new()
    other:wrap(function() check("cqueues", "slow") end)
    assert(other:step(0))
    other:close()
    other = nil -- luacheck: ignore
    collectgarbage()
    local balance
    assert.same({}, loops.cqueues { function() balance = assert(check("cqueues", "slower")) end })
    assert.equal(9, balance.remaining)
  end)
end)

describe("two cqueues controllers", function()
  it("share a session without waking each other for nothing", function()
    local cqueues = require "cqueues"
    local outer, inner, waits = cqueues.new(), cqueues.new(), {}
    local function both()
      assert.equal(9, check("cqueues", "slower", waits).remaining)
      local _, failure = check("cqueues", "hang", waits, { timeout = 0.4 })
      assert.equal("timeout", failure.kind)
    end
    outer:wrap(both)
    outer:wrap(function() assert(inner:loop()) end)
    inner:wrap(both)
    assert(outer:loop(20))
    assert.equal(0, session:pending())
    assert.is_true(waits.count < 50, waits.count .. " wake-ups")
  end)
end)

describe("a coroutine that the program resumes by itself", function()
  it("leaves no poll handle behind in libuv", function()
    local uv = require "luv"
    local id = session:submit("supertone", { api_key = "k", base_url = server:url "hang" })
    local awake = false
    local thread = coroutine.create(function()
      wait.luv(session)
      awake = true
      coroutine.yield()
    end)
    assert(resume(thread))
    assert.is_true(uv.loop_alive())
    assert(resume(thread))
    assert.is_true(awake)
    uv.run() -- ends: nobody waits
    session:cancel(id)
  end)

  it("is refused by copas where it cannot know it", function()
    if not pcall(require, "copas") then return pending "copas is not here" end
    if require "copas".wakeup then return pending "this copas wakes it up all the same" end
    local thread = coroutine.create(function() check("copas", "slow") end)
    assert(resume(thread))
    local ok, problem = resume(thread)
    assert.is_false(ok)
    assert.truthy(tostring(problem):find("that copas does not run", 1, true), problem)
    loops.copas { function() assert.equal(7, check("copas", "good").remaining) end }
  end)
end)

describe("two coroutines that take one check's answer", function()
  it("get it once, and an error", function()
    local id = session:submit("supertone", { api_key = "k", base_url = server:url "slow" })
    local outcomes = {}
    local function take()
      while true do
        local ok, balance = pcall(session.take, session, id)
        if not ok or balance then
          outcomes[#outcomes + 1] = ok and balance.remaining or balance
          return
        end
        wait.cqueues(session)
      end
    end
    assert.same({}, loops.cqueues { take, take })
    assert.equal(8, outcomes[1])
    assert.truthy(outcomes[2]:find("no check with this id is pending", 1, true))
  end)
end)

describe("the session as LuaSocket's", function()
  it("is found readable by select", function()
    local found, socket = pcall(require, "socket")
    if not found then return pending "LuaSocket is not here" end
    local _, _, why = socket.select({ session }, nil, 0)
    assert.equal("timeout", why)
    local id = session:submit("supertone", { api_key = "k", base_url = server:url "good" })
    assert.equal(session, socket.select({ session }, nil, 5)[1])
    assert.equal(id, (session:next()))
  end)
end)

describe("wait.openresty", function()
  it("is the module's own", function()
    local seen
    local before = package.loaded["voicecredits.openresty"]
    package.loaded["voicecredits.openresty"] = { wait = function(...) seen = { ... } end }
    wait.openresty(session, 3)
    package.loaded["voicecredits.openresty"] = before
    assert.same({ session, 3 }, seen)
  end)
end)
