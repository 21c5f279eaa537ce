--- What the module does when memory, or something else that it takes, runs out: one fault after the other, each in a process
--- of its own. Run by the interpreter of memory.c with the name of a group and the servers' addresses; see memory_spec.lua.
--
-- An operation is done twice: the first time something fails, the second time nothing does. Both times it must answer well,
-- or the first time say that it could not; afterwards there are as many blocks of memory as without a fault. The faults are
-- those of every call in turn, until the operation does not reach the call that is to fail.

---@class operation
---@field name string
---@field prepare? fun(): any what the other functions are given; nothing fails while it runs
---@field act fun(state: any): ... what is tried
---@field good fun(state: any, ...): any whether that is what it answers without a fault
---@field again? fun(state: any, done: boolean): any whether all is well afterwards; `done`: act has answered. Else act is
---  done again
---@field finish? fun(state: any) closes what was opened
---@field kinds? table<string, boolean> the kinds of failures that it may answer with
---@field steps? table<string, integer> of which kinds only every so many-th call fails; 0: none

local faults = _G.faults
local PATIENCE = 60 -- seconds that one process may take
local MOST_WRONG = 2 -- of one operation, then it is enough
local FINE, WRONG, NO_FAULT = 0, 1, 2

if rawget(_G, "jit") then jit.off() end -- compiling takes memory when it likes

-- lua-cjson leaks and aborts on its own when memory runs out: it works outside.
do
  local real = require "cjson"
  local function outside(library)
    local wrapped = {}
    for name, value in pairs(library) do wrapped[name] = type(value) == "function" and faults.outside(value) or value end
    return wrapped
  end
  local cjson = outside(real)
  cjson.new = function() return outside(real.new()) end
  package.loaded["cjson"] = cjson
  cjson.new = faults.outside(cjson.new)
end

local fixtures = require "spec.fixtures"
local process = require "process"
local voicecredits = require "voicecredits"
local core = require "voicecredits.core"

local given = {} -- url, tls, ca_file, ...
for index = 1, #arg do
  local name, value = arg[index]:match("^(%l[%l_]*)=(.*)$")
  if name then given[name] = value end
end

-- One fault ----------------------------------------------------------------------------------------------------------

-- A value as text, but for what cannot be the same twice. As text it keeps nothing alive that the operation would make anew.
local function describe(value, name)
  if type(value) ~= "table" then return name ~= "fetched_at" and name ~= "elapsed" and tostring(value) or "" end
  local lines = {}
  for key, inner in pairs(value) do lines[#lines + 1] = tostring(key) .. "=" .. describe(inner, key) end
  table.sort(lines)
  return "{" .. table.concat(lines, ",") .. "}"
end

local function is_failure(value) return type(value) == "table" and value.kind ~= nil and value.message ~= nil end

local function shown(...)
  local words = {}
  for index = 1, select("#", ...) do words[index] = tostring((select(index, ...))) end
  return table.concat(words, ", ")
end

-- libcurl has one word for a header line that is too long and for one that it has no memory for; a file of certificates
-- that cannot be opened is a matter of TLS.
local also = { curl = "protocol", ["own curl system"] = "protocol", descriptors = "tls" }

-- What is wrong with the answer of the operation in which something failed, or nil, and whether it was a good one.
local function judge(operation, state, kinds, ok, ...)
  if not ok then
    local told = tostring((...))
    if kinds == "lua" and told:find("not enough memory$") then return nil, false end
    return "raised: " .. told, false
  end
  if operation.good(state, ...) then return nil, true end
  local nothing, failure = ...
  local expected = operation.kinds or {}
  if kinds ~= "lua" and nothing == nil and is_failure(failure)
    and (expected[failure.kind] or expected.network and failure.kind == also[kinds]) then
    local unsent = faults.failed():find "^CURLOPT" and failure.attempts > 0
    return unsent and "counted as sent: " .. tostring(failure) or nil, false
  end
  return "answered: " .. shown(...), false
end

-- Each collection gives half of what is free of the stacks back.
local function count_blocks()
  for _ = 1, 8 do collectgarbage() end
  return { faults.live "lua", faults.live "own", faults.live "curl" }
end

local function answers_well(operation, state, done)
  if operation.again then return operation.again(state, done) end
  return operation.good(state, operation.act(state))
end

local function fault_text(kinds, first, count)
  if kinds == "descriptors" then return ("%.0f descriptors"):format(first - 1) end
  return ("%s call %.0f%s"):format(kinds, first, count == math.huge and " and all that follow" or count > 1 and " and the next" or "")
end

-- Calls act while something fails -> how many calls did, whether it returned, what it returned. Descriptors: first - 1 can
-- still be opened, and whether that was too few is seen from the answer alone.
local function call_short(operation, state, kinds, first, count)
  if kinds ~= "descriptors" then return faults.call(kinds, first, count, operation.act, state) end
  if first < math.huge then faults.descriptors(first - 1) end
  local function restored(...)
    faults.descriptors()
    return nil, ...
  end
  return restored(pcall(operation.act, state))
end

-- In its own process. Returns its verdict; tells on stderr what went wrong.
local function attempt(operation, kinds, first, count, control)
  local function wrong(what)
    io.stderr:write(("FAIL %s, %s (%s): %s\n"):format(operation.name, fault_text(kinds, first, count),
      faults.failed(), what))
    return WRONG
  end
  local state = operation.prepare and operation.prepare()
  local function tried(failed, ...)
    local problem, done = judge(operation, state, kinds, ...)
    return failed, problem, done
  end
  collectgarbage()
  local failed, problem, done = tried(call_short(operation, state, kinds, first, count))
  if problem then return wrong(problem) end
  local well, told = pcall(answers_well, operation, state, done)
  if not well or not told then return wrong("and then: " .. tostring(told)) end
  if operation.finish then operation.finish(state) end
  state = nil -- luacheck: ignore
  local blocks = count_blocks()
  for index, number in ipairs(blocks) do
    if control then
      faults.note(index, number)
    elseif number > faults.noted(index) then
      local name = ({ "Lua's", "our own", "libcurl's" })[index]
      return wrong(("%d blocks of %s are left, not %d"):format(number, name, faults.noted(index)))
    end
  end
  if failed then return failed > 0 and FINE or NO_FAULT end
  return done and NO_FAULT or FINE
end

-- Every fault of an operation -----------------------------------------------------------------------------------------

local total, wrongs = 0, 0

-- Lets `count` calls of these kinds fail, from the first one on, from the second on, and so on by `stride`.
local function exhaust(operation, kinds, count, stride)
  if faults.child(PATIENCE, attempt, operation, kinds, math.huge, 1, true) ~= NO_FAULT then
    io.stderr:write(("FAIL %s without a fault\n"):format(operation.name))
    wrongs = wrongs + 1
    return
  end
  local first, done, wrong_before = 1, 0, wrongs
  repeat
    local status = faults.child(PATIENCE, attempt, operation, kinds, first, count)
    if status ~= FINE and status ~= NO_FAULT then
      wrongs = wrongs + 1
      if status ~= WRONG then
        io.stderr:write(("FAIL %s, %s: the process ended with %d\n"):format(operation.name,
          fault_text(kinds, first, count), status))
      end
    end
    if status ~= NO_FAULT then done = done + 1 end
    first = first + stride
  until status == NO_FAULT or wrongs - wrong_before >= MOST_WRONG
  total = total + done
  return done
end

-- The operations -----------------------------------------------------------------------------------------------------

local function options_of(more)
  local options = { api_key = "sandbox", base_url = given.url, retries = 0, timeout = 20 }
  for name, value in pairs(more or {}) do options[name] = value end
  return options
end

local function is_balance(balance) return type(balance) == "table" and balance.remaining == 123 end

local function has_finished(session, patience) return process.poll(session:pollfd(), patience or 20000) end

-- Takes everything that is pending; true when all of it was answered well.
local function drain(session, count)
  local good = 0
  while session:pending() > 0 and session:wait(20) do
    for _, balance in session.next, session do good = good + (is_balance(balance) and 1 or 0) end
  end
  return good == count and session:pending() == 0
end

local function opened()
  local session = assert(core.session())
  return { session = session, options = options_of() }
end

local function close(state) state.session:close() end

-- A session with a check that has finished and that nobody has looked at.
local function finished()
  local state = opened()
  state.id = assert(state.session:submit("supertone", state.options))
  assert(has_finished(state.session))
  return state
end

-- A session with a check that runs.
local function running()
  local state = opened()
  state.id = assert(state.session:submit("supertone", options_of { api_key = "sandbox-slow" }))
  return state
end

local groups = {}

groups.session = {
  { name = "loading", prepare = function()
      package.loaded["voicecredits.core"] = nil
      return assert(loadfile(package.searchpath and package.searchpath("voicecredits", package.path)
        or "lua/voicecredits/init.lua"))()
    end,
    act = function(fresh) return fresh.check ~= nil and fresh.providers end,
    good = function(_, found) return type(found) == "function" and #found() == 5 end },
  { name = "opening", prepare = function() return {} end,
    act = function(state)
      local session, failure = core.session()
      state.session = session or state.session
      return session, failure
    end,
    good = function(_, session) return type(session) == "userdata" and session:pollfd() >= 0 end, finish = close },
  { name = "submit", prepare = opened,
    act = function(state) return state.session:submit("supertone", state.options) end,
    good = function(state, id) return type(id) == "number" and state.session:pending() == 1 end,
    again = function(state, done)
      local left = state.session:pending() == (done and 1 or 0)
      assert(state.session:submit("supertone", state.options))
      return left and drain(state.session, done and 2 or 1)
    end, finish = close },
  { name = "next", prepare = finished,
    act = function(state) return state.session:next() end,
    good = function(state, id, balance) return id == state.id and is_balance(balance) and state.session:pending() == 0 end,
    again = function(state, done) return drain(state.session, done and 0 or 1) end, finish = close },
  { name = "next, kept", prepare = function()
      local state = finished()
      assert(state.session:wait())
      return state
    end,
    act = function(state) return state.session:next() end,
    good = function(state, id, balance) return id == state.id and is_balance(balance) and state.session:pending() == 0 end,
    again = function(state, done) return drain(state.session, done and 0 or 1) end, finish = close },
  { name = "take", prepare = finished,
    act = function(state) return state.session:take(state.id) end,
    good = function(_, balance) return is_balance(balance) end,
    again = function(state, done)
      return (done or is_balance((state.session:take(state.id, math.huge)))) and state.session:pending() == 0
    end, finish = close },
  { name = "wait", prepare = finished,
    act = function(state) return state.session:wait() end,
    good = function(_, ready) return ready == true end,
    again = function(state) return drain(state.session, 1) end, finish = close },
  { name = "cancel", prepare = running,
    act = function(state) return state.session:cancel(state.id) end,
    good = function(_, cancelled) return cancelled == true end,
    again = function(state)
      state.session:cancel(state.id)
      local _, failure = state.session:take(state.id, math.huge)
      return failure.kind == "cancelled" and state.session:pending() == 0
    end, finish = close },
  { name = "abandon", prepare = running,
    act = function(state) return state.session:abandon(state.id) end,
    good = function(_, nothing) return nothing == nil end,
    again = function(state)
      state.session:abandon(state.id)
      return has_finished(state.session) and not state.session:next() and state.session:pending() == 0
    end, finish = close },
  { name = "close", prepare = function()
      local state = finished()
      assert(state.session:submit("supertone", options_of { api_key = "sandbox-slow" }))
      return state
    end,
    act = function(state) return state.session:close() end,
    good = function(_, nothing) return nothing == nil end,
    again = function(state)
      state.session:close()
      return drain(state.session, 1)
    end },
}

local function close_default_session() core.session_of():close() end

-- Nothing of a check whose error was thrown is left in the module's own session, once it has been ended.
local function nothing_pending()
  collectgarbage()
  collectgarbage()
  local session = core.session_of()
  while session:pending() > 0 and has_finished(session, 3000) do
    if session:next() then return false end
  end
  return session:pending() == 0
end

local function checks(name, act, good)
  return { name = name, prepare = function() return options_of() end, act = act, good = good or function(_, balance)
    return is_balance(balance)
  end, again = function(state)
    local idle = nothing_pending()
    return (good or function(_, balance) return is_balance(balance) end)(state, act(state)) and idle and nothing_pending()
  end, finish = close_default_session }
end

local function wait(session) session:wait() end

local function are_rows(_, rows)
  if type(rows) ~= "table" or #rows ~= 2 then return false end
  return is_balance(rows[1].balance) and type(rows[2].balance) == "table" and rows[2].balance.remaining == 100
end

groups.check = {
  checks("core.check", function(options) return core.check("supertone", options) end),
  checks("check", function(options) return voicecredits.check("supertone", options) end),
  checks("check with wait", function(options)
    options.wait = wait
    return voicecredits.check("supertone", options)
  end),
  checks("a provider's function", function(options) return voicecredits.supertone(options) end),
  checks("check_all", function(options)
    return voicecredits.check_all({ { provider = "supertone" }, { provider = "suno" } }, options)
  end, are_rows),
  checks("check_all with wait", function(options)
    options.wait = wait
    return voicecredits.check_all({ { provider = "supertone" }, { provider = "suno" } }, options)
  end, are_rows),
  checks("ensure", function(options) return voicecredits.ensure("supertone", 1000, options) end,
    function(_, balance, failure) return balance == nil and is_failure(failure) and failure.kind == "insufficient" end),
}

groups.parse = {}
for _, fixture in ipairs(fixtures) do
  local response = { status = fixture.status, headers = fixture.headers, body = fixtures.load(fixture) }
  local balance, failure = voicecredits.parse(fixture.provider, response)
  local expected = describe { balance, failure, tostring(balance or failure) }
  groups.parse[#groups.parse + 1] = {
    name = ("parse %s %s"):format(fixture.provider, fixture.name),
    act = function()
      local answer, refusal = voicecredits.parse(fixture.provider, response)
      return answer, refusal, tostring(answer or refusal)
    end,
    good = function(_, ...) return describe { ... } == expected end,
  }
end

groups.rest = {
  { name = "providers", act = core.providers, good = function(_, list) return #list == 5 and list[5].name ~= nil end },
  { name = "nearest and printable", act = function()
      return core.nearest("nam", { "name", "other" }), core.printable("a\1b", 20), core.own_options("fish")[1]
    end,
    good = function(_, word, text, option) return word == "name" and text and option == "user_id" end },
}
for _, provider in ipairs { "supertone", "suno", "fish", "srtgen", "breeze" } do
  local expected = describe(assert(core.request(provider, { api_key = "sandbox" })))
  table.insert(groups.rest, { name = "request of " .. provider,
    act = function() return core.request(provider, { api_key = "sandbox" }) end,
    good = function(_, request) return describe(request) == expected end })
end

-- Below Lua ----------------------------------------------------------------------------------------------------------

-- Whatever fails on the way of a check, its answer is one of these or a good one. A request that was made of what was left
-- would be worse than none: without the key, past the proxy, to a server whose certificate nobody has looked at.
local short_of_something = { unavailable = true, network = true }

local function way(name, options, good)
  return { name = name, kinds = short_of_something, prepare = function() return options end,
    act = function() return core.check("supertone", options) end,
    good = function(_, ...) return good(...) end,
    again = function() return good(core.check("supertone", options)) and nothing_pending() end,
    finish = close_default_session }
end

local function fails_as(kind)
  return function(balance, failure) return balance == nil and is_failure(failure) and failure.kind == kind end
end

groups.opening = {
  { name = "opening", prepare = function() return {} end, kinds = { unavailable = true },
    act = function(state)
      local session, failure = core.session()
      state.session = session or state.session
      return session, failure
    end,
    good = function(_, session) return type(session) == "userdata" and session:pollfd() >= 0 end,
    again = function(state)
      state.session = assert(core.session())
      assert(state.session:submit("supertone", options_of()))
      return drain(state.session, 1)
    end, finish = close },
  { name = "the collection of a session", prepare = running,
    act = function(state)
      state.session = nil
      collectgarbage()
      collectgarbage()
      return true
    end,
    good = function(_, collected) return collected end, again = function() return true end },
}

-- More checks than the line of those that wait has places for at first.
local MANY = 80

groups.http = {
  way("http", options_of(), is_balance),
  { name = "a long line", prepare = function()
      return { session = assert(core.session { max_in_flight = 2, max_per_host = 2 }), options = options_of() }
    end,
    act = function(state)
      local answers = 0
      state.wrong = nil
      for _ = 1, MANY do
        local id, failure = state.session:submit("supertone", state.options)
        if not id then
          answers = answers + 1
          if failure.kind ~= "unavailable" then state.wrong = failure end
        end
      end
      while state.session:pending() > 0 and state.session:wait(20) do
        for _, balance, failure in state.session.next, state.session do
          answers = answers + 1
          if not is_balance(balance) and not short_of_something[failure.kind] then state.wrong = failure end
        end
      end
      return answers, tostring(state.wrong)
    end,
    good = function(state, answers) return answers == MANY and not state.wrong end, finish = close,
    steps = { own = 3, system = 17, curl = 0, ["own curl system"] = 0 } },
  { name = "a request", prepare = function() return assert(core.session()) end, kinds = { unavailable = true },
    act = function() return core.request("fish", { api_key = "sandbox", user_id = "m e", team_id = "a b" }) end,
    good = function(_, request)
      return request and request.url == "https://api.fish.audio/wallet/m%20e/api-credit?team_id=a+b"
        and request.headers.Authorization == "Bearer sandbox"
    end, finish = function(session) session:close() end },
}

-- What a base URL must not hold is looked for with memory of libcurl's.
for _, url in ipairs { "https://user@host", "https://:password@host", "https://host?query", "https://host#fragment",
  "http://example.com", "ftp://127.0.0.1" } do
  table.insert(groups.http, { name = "a request to " .. url, prepare = function() return assert(core.session()) end,
    kinds = { unavailable = true },
    act = function() return core.request("fish", { api_key = "sandbox", base_url = url }) end,
    good = function(_, ...) return fails_as "configuration"(...) end, finish = function(session) session:close() end })
end

groups.https = {
  way("https", options_of { base_url = given.tls }, is_balance),
  way("https, an authority of one's own", options_of { base_url = given.tls, ca_file = given.ca_file }, is_balance),
  way("https, a certificate of nobody's", options_of { base_url = given.untrusted, ca_file = given.ca_file }, fails_as "tls"),
  way("https, a proxy that lets nobody through", options_of { base_url = given.tls, proxy = given.proxy }, fails_as "network"),
}

-- Running ------------------------------------------------------------------------------------------------------------

-- How many calls fail, by kind. Lua 5.2 and later collect garbage and try a single failure again. With `few=yes` only the
-- telling ones, and of libcurl's many calls every third.
local few = given.few == "yes"
local retries = _VERSION ~= "Lua 5.1"
local patterns = {
  lua = few and { { "lua", retries and 2 or 1 } } or { { "lua", 1 }, { "lua", 2 }, { "lua", math.huge } },
  below = few and { { "own", 1 }, { "system", 1 }, { "curl", 1, 3 }, { "descriptors", math.huge } } or {
    { "own", 1 }, { "own", math.huge }, { "system", 1 }, { "system", math.huge }, { "curl", 1 }, { "curl", 2 },
    { "curl", math.huge }, { "own curl system", 2 }, { "descriptors", math.huge },
  },
}

local sides = { session = "lua", check = "lua", parse = "lua", rest = "lua" }

local function pattern_text(kinds, count)
  if kinds == "descriptors" then return "no descriptors left, or too few" end
  return ("%s: %s"):format(kinds, count == 1 and "one call" or count == 2 and "a call and the next" or "a call and all that follow")
end

local group = assert(groups[arg[1]], "no such group")
for _, pattern in ipairs(patterns[sides[arg[1]] or "below"]) do
  local before = total
  for _, operation in ipairs(group) do
    local step = operation.steps and operation.steps[pattern[1]] or 1
    local done = step > 0 and exhaust(operation, pattern[1], pattern[2], step * (pattern[3] or 1)) or 0
    if given.verbose then print(operation.name, pattern[1], pattern[2], done) end
  end
  print(("%-8s %5d faults, %s"):format(arg[1], total - before, pattern_text(pattern[1], pattern[2])))
end
return wrongs > 0 and 1 or 0
