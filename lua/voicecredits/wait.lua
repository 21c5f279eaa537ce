-- How a check waits in an event loop: one function per loop, for the option `wait`. Each loads its library when it is
-- first called, returns when the session may have something, and lets the loop go on meanwhile.
--
--   voicecredits.fish { wait = voicecredits.wait.cqueues }

---@class voicecredits.wait
local wait = {}

-- The watch over each session that is waited for. It is taken out when nobody waits: where weak keys are not ephemerons
-- (Lua 5.1, LuaJIT) a watch that refers to its session would keep it for ever.
local function per_session() return setmetatable({}, { __mode = "k" }) end

-- The coroutine that calls wait; an error where there is none that could be put to sleep.
local function own_coroutine(name)
  local thread, is_main = coroutine.running()
  if not thread or is_main then
    error(("voicecredits.wait.%s was called outside a coroutine: the loop could not go on meanwhile"):format(name), 3)
  end
  return thread
end

-- cqueues ------------------------------------------------------------------------------------------------------------

-- A controller goes on watching a descriptor after a poll, until its next step, and breaks when it is closed by then.
-- So one coroutine of our own in each controller watches the session, and takes the descriptor back before it wakes
-- those who wait.
local cqueues_watches = per_session()

local function start_cqueues_watch(cqueues, loop, session)
  local condition = require "cqueues.condition".new()
  local source = { pollfd = session:pollfd(), events = "r", session = session } -- a session that is in use stays open
  local watches = cqueues_watches[session] or per_session()
  cqueues_watches[session] = watches
  watches[loop] = condition
  loop:wrap(function()
    cqueues.poll(source)
    loop:cancel(source.pollfd)
    watches[loop] = nil
    condition:signal()
  end)
  return condition
end

--- Waits in a cqueues controller.
---@param session voicecredits.session
function wait.cqueues(session)
  local cqueues = require "cqueues"
  local loop = cqueues.running()
  if not loop then error("voicecredits.wait.cqueues was called outside a coroutine of a cqueues controller", 2) end
  local watches = cqueues_watches[session]
  local condition = watches and watches[loop] or start_cqueues_watch(cqueues, loop, session)
  condition:wait()
end

-- copas --------------------------------------------------------------------------------------------------------------

-- Copas resumes one reader of a socket per event, and some of its versions forget the others. So one thread of our own
-- watches the session, and everybody who waits is put to sleep until that thread wakes all of them.
local copas_watches = per_session()

-- Copas from 2.0 on can put a coroutine to sleep; before that it hands the coroutine to whatever queue it yields with.
local Queue = {}
Queue.__index = Queue
function Queue.insert() end

function Queue:push(sleep, thread)
  sleep.taken = true
  self[#self + 1] = thread
end

local function sleep_in_queue(queue)
  local sleep = {}
  coroutine.yield(sleep, queue)
  if not sleep.taken then error("voicecredits.wait.copas was called in a coroutine that copas does not run", 3) end
end

local function sleep_until_wakeup(copas, queue)
  -- Inside coxpcall's pcall (Lua 5.1) the coroutine that copas knows is not the one that runs.
  local coxpcall = package.loaded.coxpcall
  queue[#queue + 1] = (coxpcall and coxpcall.running or coroutine.running)()
  if copas.pauseforever then return copas.pauseforever() end
  copas.sleep(-1)
end

-- What copas takes for the session's socket: it asks for its descriptor at each turn, even if the session was closed in
-- the meantime, and closes it at the end.
local function new_socket(session)
  local descriptor, looked = session:pollfd(), false
  return {
    session = session, -- its descriptor must not be closed before this is forgotten
    getfd = function() return descriptor end,
    close = function() end,
    receive = function()
      if looked then return "" end
      looked = true
      return nil, "timeout"
    end,
  }
end

local function start_watch(copas, session)
  local queue, socket = setmetatable({}, Queue), new_socket(session)
  copas_watches[session] = queue
  copas.addthread(function()
    copas.receive(socket, 1)
    copas_watches[socket.session] = nil
    socket.session = nil -- copas may keep the socket until its next turn
    local wake = copas.wakeup or copas.addthread -- of the old, the second resumes what has yielded
    for _, thread in ipairs(queue) do
      if coroutine.status(thread) == "suspended" then wake(thread) end
    end
  end)
  return queue
end

--- Waits in the loop of copas, of any version.
---@param session voicecredits.session
function wait.copas(session)
  local copas = require "copas"
  own_coroutine "copas"
  local queue = copas_watches[session] or start_watch(copas, session)
  if copas.wakeup then sleep_until_wakeup(copas, queue) else sleep_in_queue(queue) end
end

-- luv ----------------------------------------------------------------------------------------------------------------

-- A descriptor has room for one poll handle: all who wait share it. It is there while somebody waits and no longer, so
-- that it neither keeps the loop alive nor watches a descriptor that is not the session's any more.
local luv_watches = per_session()

-- Resumes all, whatever becomes of one; their errors are then the loop's, as those of any callback are.
local function resume_all(waiting)
  local problems = {}
  for _, thread in ipairs(waiting) do
    -- One that the program has resumed by itself waits for something else now.
    if waiting[thread] and coroutine.status(thread) == "suspended" then
      waiting[thread] = nil
      local ok, problem = coroutine.resume(thread)
      if not ok then problems[#problems + 1] = debug.traceback(thread, tostring(problem)) end
    end
  end
  if problems[1] then error(table.concat(problems, "\n"), 0) end
end

local function open_poll(uv, session)
  local poll, problem = uv.new_poll(session:pollfd())
  if not poll then error(("voicecredits.wait.luv: the session cannot be watched: %s"):format(problem), 3) end
  local watch = { waiting = {}, count = 0 }
  function watch.close()
    luv_watches[session] = nil
    if not poll:is_closing() then poll:close() end
  end
  luv_watches[session] = watch
  poll:start("r", function()
    watch.close()
    resume_all(watch.waiting)
  end)
  return watch
end

--- Waits in a coroutine of the program's own, which libuv's loop (luv, luvit, Neovim) resumes.
---@param session voicecredits.session
function wait.luv(session)
  -- Not loaded here: luv would run all its callbacks on the coroutine that has loaded it.
  local uv = package.loaded.luv or package.loaded.uv
  if not uv then error("voicecredits.wait.luv was called before luv was loaded: require it in the main program", 2) end
  local thread = own_coroutine "luv"
  local watch = luv_watches[session] or open_poll(uv, session)
  local waiting = watch.waiting
  waiting[#waiting + 1] = thread
  waiting[thread] = true
  watch.count = watch.count + 1
  coroutine.yield()
  if not waiting[thread] then return end -- else it was the program that has resumed it
  waiting[thread] = nil
  watch.count = watch.count - 1
  if watch.count == 0 then watch.close() end
end

-- OpenResty ----------------------------------------------------------------------------------------------------------

--- Waits in a light thread of nginx, which can only sleep: longer each time.
---@param session voicecredits.session
---@param attempt integer
function wait.openresty(session, attempt)
  return require "voicecredits.openresty".wait(session, attempt)
end

return wait
