-- voicecredits: how many credits are left on voice-AI accounts. The public module.
--
-- It loads the C module on first use only, so that requiring it costs next to nothing. Everything public is described in
-- types.lua.

---@class voicecredits
local voicecredits = {}

local core

-- What keeps the C module from being loaded, in one line that says what to do.
local function explain(problem)
  problem = tostring(problem)
  local lua = rawget(_G, "jit") and "LuaJIT" or _VERSION
  local path = problem:match("from file '([^']*)'")
  if problem:find("module 'voicecredits.core' not found", 1, true) then
    return ("voicecredits: its C module (voicecredits/core.so) was not found for %s: build it with 'make'"):format(lua)
  elseif problem:find("undefined symbol: lua", 1, true) or problem:find("version mismatch", 1, true)
    or problem:find("incompatible numeric types", 1, true) then
    return ("voicecredits: its C module %s was built for another Lua than this %s: build it with 'make LUA_VERSION=%s'")
      :format(path or "(voicecredits/core.so)", lua, rawget(_G, "jit") and "jit" or _VERSION:match("%d+%.%d+"))
  elseif problem:find("libcurl", 1, true) then
    return ("voicecredits needs libcurl: install the Debian package libcurl4 (%s)"):format(problem:match("[^\r\n]*$"))
  end
  return (problem:gsub("\n.*", ""))
end

-- Lua 5.1 would refuse for ever what could not be loaded once, when memory was out.
local function try_to_load(name)
  local ok, found = pcall(require, name)
  if not ok then package.loaded[name] = nil end
  return ok, found
end

local function load_core()
  if not core then
    local ok, found = try_to_load "voicecredits.core"
    if not ok then error(explain(found), 0) end
    core = found
  end
  return core
end

local function load_room(name)
  local ok, found = try_to_load("voicecredits." .. name)
  if not ok then error(found, 0) end
  return found
end

local function check_table(value, argument, name)
  if value ~= nil and type(value) ~= "table" then
    error(("bad argument #%d to '%s' (table expected, found %s)"):format(argument, name, type(value)), 3)
  end
end

local function check_wait(wait, argument, name)
  local meta = type(wait) == "table" and getmetatable(wait)
  if wait ~= nil and type(wait) ~= "function" and not (meta and meta.__call) then
    error(("bad argument #%d to '%s' (option 'wait' must be a function, found %s)"):format(argument, name, type(wait)), 3)
  end
end

-- Raises the C module's error anew: an argument error as one of the public function, at the line that called it. `shift` is
-- how many arguments the C function has in front of that function's; `where` (may be nil) comes before the reason.
local function raise(problem, name, shift, where)
  local argument, reason = tostring(problem):match("^bad argument #(%d+) to '.-' %((.*)%)$")
  if not argument then error(problem, 0) end
  error(("bad argument #%d to '%s' (%s%s)"):format(argument - shift, name, where or "", reason), 3)
end

-- The session that the options name, or the module's own; nil, failure when none can be opened.
local function session_of(options, name)
  local ok, session, failure = pcall(load_core().session_of, options)
  if ok then return session, failure end
  local reason = tostring(session):match("^bad argument.-%((.*)%)$")
  if not reason then error(session, 0) end
  error(("bad argument #2 to '%s' (%s)"):format(name, reason), 3)
end

-- Something that, when it is collected, gives up the checks whose ids are still in `ids`: the coroutine that waited for
-- them is gone, or an error was thrown. It is there before the first check is. Lua 5.1 has finalizers for userdata only.
local function guard(session, ids)
  local function abandon()
    for _, id in ipairs(ids) do
      if id then session:abandon(id) end
    end
  end
  if not rawget(_G, "newproxy") then return setmetatable({}, { __gc = abandon }) end
  local proxy = newproxy(true)
  getmetatable(proxy).__gc = abandon
  return proxy
end

-- The answers of submitted checks, into `rows`; ids[i] is false where there is nothing to wait for. Without `wait` the
-- thread sleeps. `wait` is told how often it has been called: a host that can only sleep sleeps longer each time. All
-- are asked for each time: an answer that nobody has asked for yet is one for `next`, and keeps the descriptor
-- readable, so that everybody who waits on the session would go round and round. `guarded` is only kept alive.
local function await(session, ids, rows, wait, guarded)
  for attempt = 1, math.huge do
    local open = false
    for i = 1, #rows do
      if ids[i] then
        local row = rows[i]
        row.balance, row.failure = session:take(ids[i], wait and 0 or math.huge)
        if row.balance or row.failure then ids[i] = false else open = true end
      end
    end
    if not open then return guarded end
    wait(session, attempt)
  end
end

--- Asks for the balance of one account.
---@param provider string
---@param options? voicecredits.options
---@return voicecredits.balance|nil
---@return voicecredits.failure|nil
function voicecredits.check(provider, options)
  local wait = type(options) == "table" and options.wait or nil
  if not wait then
    local ok, balance, failure = pcall(load_core().check, provider, options)
    if not ok then raise(balance, "check", 0) end
    return balance, failure
  end
  check_wait(wait, 2, "check")
  local session, problem = session_of(options, "check")
  if not session then return nil, problem end
  local row, ids = {}, { false } -- all there before the check is: a place is filled without memory
  local guarded = guard(session, ids)
  local ok, id, failure = pcall(session.submit, session, provider, options)
  if not ok then raise(id, "check", 1) end
  if not id then return nil, failure end
  ids[1] = id
  await(session, ids, { row }, wait, guarded)
  return row.balance, row.failure
end

-- Submits every account; rows[i] has its failure already where there was nothing to submit. Where one of them is wrong
-- none is left behind: `ids` of those before it are for the caller to cancel.
local function submit_all(session, list, defaults, rows, ids)
  local submit_account = core.submit_account
  for i = 1, #list do
    local account = list[i]
    if type(account) ~= "table" or type(account.provider) ~= "string" then
      return i, "bad argument #2 to '' (must be a table with a string 'provider')"
    end
    local row = { provider = account.provider, account = account.account or "default", failure = false }
    rows[i], ids[i] = row, false
    local ok, id, failure = pcall(submit_account, session, account, defaults)
    if not ok then return i, id end
    ids[i], row.failure = id or false, failure
  end
end

--- Asks for the balances of many accounts at once.
---@param list? voicecredits.account[] every provider whose key is in the environment when nil
---@param options? voicecredits.options defaults for every account
---@return voicecredits.row[]|nil rows in the order of the accounts
---@return voicecredits.failure|nil failure when no session could be opened
function voicecredits.check_all(list, options)
  check_table(list, 1, "check_all")
  check_table(options, 2, "check_all")
  local wait = options and options.wait
  check_wait(wait, 2, "check_all")
  local session, problem = session_of(options, "check_all")
  if not session then return nil, problem end
  list = list or load_room "accounts".from_environment(core)
  local rows, ids = {}, {}
  local guarded = guard(session, ids)
  local wrong, reason = submit_all(session, list, options, rows, ids)
  if wrong then
    for i = 1, wrong - 1 do
      if ids[i] then session:abandon(ids[i]) end
    end
    reason = tostring(reason):gsub("^bad argument #%d+", "bad argument #2")
    raise(reason, "check_all", 1, ("account %d: "):format(wrong))
  end
  await(session, ids, rows, wait, guarded)
  return rows
end

--- Asks for a balance and holds it against a minimum.
---@param provider string
---@param minimum number in the balance's unit
---@param options? voicecredits.options
---@return voicecredits.balance|nil
---@return voicecredits.failure|nil failure of kind "insufficient" below the minimum or when the balance is unknown
function voicecredits.ensure(provider, minimum, options)
  if type(minimum) ~= "number" or minimum ~= minimum then
    error(("bad argument #2 to 'ensure' (number expected, found %s)"):format(type(minimum)), 2)
  end
  local balance, failure = voicecredits.check(provider, options)
  if not balance then return nil, failure end
  if balance.remaining and balance.remaining >= minimum then return balance end
  return nil, core.insufficient(balance, minimum)
end

-- The functions that are the C module's as they stand.
local from_core = {
  request = true, parse = true, session = true, providers = true, null = true, _VERSION = true,
}

-- One function per provider: the C module's, which blocks, or with `wait` the one above.
local function provider_function(name)
  local blocking = load_core()[name]
  return function(options)
    if type(options) == "table" and options.wait then return voicecredits.check(name, options) end
    local ok, balance, failure = pcall(blocking, options)
    if not ok then raise(balance, name, 0) end
    return balance, failure
  end
end

local function find(_, name)
  local value
  if name == "wait" then
    value = load_room "wait"
  elseif from_core[name] then
    value = load_core()[name]
  elseif type(name) == "string" then
    for _, provider in ipairs(load_core().providers()) do
      if provider.name == name then value = provider_function(name) end
    end
  end
  rawset(voicecredits, name, value)
  return value
end

return setmetatable(voicecredits, { __index = find })
