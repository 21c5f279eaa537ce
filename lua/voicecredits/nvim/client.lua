-- The editor's one session: opened when the first check is asked for, watched by the editor's event loop, closed as
-- the editor leaves. Nothing here waits.

local uv = vim.uv or vim.loop

local client = {}

local session, poll
local waiting = {} -- by the session's id: who is to be told
local leaving = false

-- Failures of this side ----------------------------------------------------------------------------------------------

local Failure = {
  __tostring = function(failure)
    return ("%s/%s: %s: %s"):format(failure.provider, failure.account, failure.kind, failure.message)
  end,
}

local function new_failure(request, kind, message)
  return setmetatable({
    kind = kind, message = message, provider = request.provider, account = request.account, retryable = false,
    attempts = 0,
  }, Failure)
end

-- The C module -------------------------------------------------------------------------------------------------------

local state = "absent" -- "loading", "ready"
local module, queue = nil, {}
local thread -- the one that loads, or has loaded

-- The checkout this file belongs to: where 'make nvim' is to be run.
local function home()
  local source = debug.getinfo(1, "S").source:match("^@(.*)/lua/voicecredits/nvim/[^/]*$")
  return source and vim.fn.fnamemodify(source, ":~") or "the plugin's folder"
end

--- The public module with its C module loaded; nil and in one line what to do where it cannot be. This loads within the
--- editor's own thread, where that takes some milliseconds unless the loading thread was there before.
---@return voicecredits?
---@return string? problem
function client.module()
  local found, voicecredits = pcall(require, "voicecredits")
  local ok, problem = found, voicecredits
  if found then ok, problem = pcall(function() return voicecredits._VERSION end) end
  if ok then return voicecredits end
  problem = tostring(problem):gsub("\n.*", ""):gsub("build it with '[^']*'", "")
  if problem:find("C module", 1, true) then problem = problem .. ("run 'make nvim' in %s"):format(home()) end
  return nil, problem
end

--- Where the C module is, as require would find it.
---@return string?
function client.path()
  local found = vim.api.nvim_get_runtime_file("lua/voicecredits/core.so", false)[1]
  return found or package.searchpath and package.searchpath("voicecredits.core", package.cpath) or nil
end

-- In a thread of its own: has the system load libcurl and all that hangs on it, and libcurl get ready. The editor's own
-- require then finds it all in the process already.
local function warm_up(path, done)
  local open = package.loadlib(path, "luaopen_voicecredits_core")
  if open then pcall(function() open().session():close() end) end
  done:send()
end

local function loaded()
  local problem
  module, problem = client.module()
  state = module and "ready" or "absent" -- it may be built while the editor runs: the next check tries again
  local run = queue
  queue = {}
  for _, action in ipairs(run) do action(problem) end
end

-- Not the loop's pool of threads: to start that holds the editor until its four threads run.
local function load_in_thread(path)
  local done
  done = uv.new_async(vim.schedule_wrap(function()
    done:close()
    loaded()
  end))
  local ok, started = pcall(uv.new_thread, warm_up, path, done)
  if ok and started then
    thread = started
  else
    done:send()
  end
end

-- Calls action(problem) once the C module is there or cannot be.
local function when_loaded(action)
  if state == "ready" then return action() end
  queue[#queue + 1] = action
  if state == "loading" then return end
  state = "loading"
  local path = not thread and not package.loaded["voicecredits.core"] and client.path()
  if path then
    load_in_thread(path)
  else
    vim.schedule(loaded)
  end
end

-- The session --------------------------------------------------------------------------------------------------------

-- Later, and each for itself: an error in one callback is no other's business.
local function tell(request, balance, failure)
  vim.schedule(function()
    if not leaving then request.callback(balance, failure) end
  end)
end

-- Called by the loop, where the editor's functions may not be used. The descriptor stays readable until the answers
-- are taken, so that is done here, or the loop would spin while the editor is busy.
local function readable()
  if not session then return end
  for id, balance, failure in session.next, session do
    local request = waiting[id]
    waiting[id] = nil
    tell(request, balance, failure)
  end
end

local function open_session()
  if session then return session end
  local opened, failure = module.session()
  if not opened then return nil, failure.message end
  session = opened
  poll = assert(uv.new_poll(session:pollfd()))
  poll:start("r", readable)
  return session
end

local function submit(request)
  local opened, problem = open_session()
  if not opened then return tell(request, nil, new_failure(request, "unavailable", problem)) end
  local ok, id, failure = pcall(session.submit, session, request.provider, request.options)
  if not ok then -- a value out of its bounds
    local reason = tostring(id):match("%((.*)%)$") or tostring(id)
    return tell(request, nil, new_failure(request, "configuration", reason))
  elseif not id then
    return tell(request, nil, failure)
  end
  request.id = id
  waiting[id] = request
end

local function close()
  leaving = true
  if thread then thread:join() end -- not out of a process in which libraries are just being loaded
  if poll then
    poll:stop()
    poll:close()
  end
  if session then session:close() end
  poll, session, waiting = nil, nil, {}
end

local prepared = false

local function prepare()
  if prepared then return end
  prepared = true
  vim.api.nvim_create_autocmd("VimLeavePre", {
    group = vim.api.nvim_create_augroup("voicecredits_client", {}),
    callback = close,
    desc = "voicecredits: end the session",
  })
end

local function cancel(request)
  if request.id and session and waiting[request.id] then
    session:cancel(request.id)
  else
    request.cancelled = true
  end
end

--- Starts a check and returns at once. The callback is called once, later, where every function of the editor may be
--- used.
---@param provider string known to be one
---@param options table
---@param callback fun(balance?: voicecredits.balance, failure?: voicecredits.failure)
---@return fun() cancel the callback then gets a failure of kind "cancelled", unless the answer was there before
function client.check(provider, options, callback)
  local account = options.account or "default"
  local request = { provider = provider, account = account, options = options, callback = callback }
  local function start()
    if leaving then return end
    prepare()
    when_loaded(function(problem)
      if leaving then
        return
      elseif request.cancelled then
        tell(request, nil, new_failure(request, "cancelled", "the check was cancelled"))
      elseif problem then
        tell(request, nil, new_failure(request, "configuration", problem))
      else
        submit(request)
      end
    end)
  end
  vim.schedule(start)
  return function() cancel(request) end
end

--- Whether the C module has been loaded.
---@return boolean
function client.is_ready() return state == "ready" end

--- How much of it there is, for whoever looks for what is left behind.
---@return { state: string, session: boolean, pending: integer }
function client.inspect()
  return { state = state, session = session ~= nil, pending = session and session:pending() or 0 }
end

return client
