-- Runs inside Neovim: what the plugin costs the editor. Started by neovim_run.lua, which tells how in the environment.

local uv = vim.uv or vim.loop
local rounds = tonumber(vim.env.ROUNDS)
local addresses = vim.split(vim.env.ADDRESSES, " ")

local function microseconds(from) return (uv.hrtime() - from) / 1e3 end

local lines = {}
local function say(...) lines[#lines + 1] = string.format(...) end

-- Lateness: by how much more than its 1 ms a timer's ticks are apart --------------------------------------------------
--
-- On a busy machine a tick also waits for a processor. What the editor's own thread has worked in the meantime tells
-- the two apart.

local ffi = require "ffi"
ffi.cdef [[struct voicecredits_time { long seconds, nanoseconds; };
  int clock_gettime(int clock, struct voicecredits_time *time);]]
local CLOCK_THREAD_CPUTIME_ID = 3 -- Linux
local time = ffi.new "struct voicecredits_time"

local function worked()
  ffi.C.clock_gettime(CLOCK_THREAD_CPUTIME_ID, time)
  return tonumber(time.seconds) * 1e3 + tonumber(time.nanoseconds) / 1e6
end

local latest = { tick = 0, work = 0 }
local timer, last, last_work = uv.new_timer(), nil, nil

local function start_ticking()
  last, last_work, latest = uv.hrtime(), worked(), { tick = 0, work = 0 }
  timer:start(1, 1, function()
    local now, work = uv.hrtime(), worked()
    latest.tick = math.max(latest.tick, (now - last) / 1e6 - 1)
    latest.work = math.max(latest.work, work - last_work)
    last, last_work = now, work
  end)
end

local function stop_ticking()
  timer:stop()
  return latest
end

-- Five checks over https in a session of their own, of which one hangs and one is refused.
local function run_checks(nvim)
  local answers = 0
  for _, address in ipairs(addresses) do
    nvim.check("fish", {
      api_key = "key", base_url = address, ca_file = vim.env.CA_FILE, timeout = 0.06, retries = 0,
    }, function() answers = answers + 1 end)
  end
  vim.wait(5000, function() return answers == #addresses end, 1)
  assert(answers == #addresses, "not all checks were answered")
end

-- A session of one's own is had by running the client's file anew; it is read once, so that only that is measured.
local client = "voicecredits.nvim.client"
local chunk = assert(loadfile(vim.api.nvim_get_runtime_file("lua/voicecredits/nvim/client.lua", false)[1]))
local function forget_session()
  vim.cmd "silent! doautocmd <nomodeline> voicecredits_client VimLeavePre"
  package.preload[client], package.loaded[client] = chunk, nil
end

local function with_checks()
  start_ticking()
  run_checks(require "voicecredits.nvim")
  local found = stop_ticking()
  forget_session()
  return found
end

local function without_checks()
  start_ticking()
  local from = uv.hrtime()
  vim.wait(5000, function() return microseconds(from) > 65000 end, 1)
  return stop_ticking()
end

local function summary(list, name)
  local values = vim.tbl_map(function(found) return found[name] end, list)
  table.sort(values)
  return ("median %5.2f, 95%% %5.2f, max %5.2f ms"):format(values[math.ceil(#values / 2)],
    values[math.ceil(#values * 0.95)], values[#values])
end

local function measure_lateness()
  local with, without = {}, {}
  for i = 1, rounds do
    without[i] = without_checks()
    with[i] = with_checks()
  end
  say("latest tick of a round, no checks:                     %s", summary(without, "tick"))
  say("latest tick of a round, five checks:                   %s", summary(with, "tick"))
  say("longest work of the editor's thread, no checks:        %s", summary(without, "work"))
  say("longest work of the editor's thread, five checks:      %s", summary(with, "work"))
end

-- The rest ------------------------------------------------------------------------------------------------------------

local function measure_statusline()
  local statusline = require "voicecredits.nvim".statusline
  statusline()
  local count, slowest = 100000, 0
  for _ = 1, rounds do
    local from = uv.hrtime()
    for _ = 1, count / rounds do statusline() end
    slowest = math.max(slowest, microseconds(from) / (count / rounds))
  end
  say("statusline(): %.3f us (the mean of the slowest of %d batches)", slowest, rounds)
  local expression = "%{v:lua.require'voicecredits.nvim'.statusline()}"
  local from = uv.hrtime()
  for _ = 1, rounds do vim.api.nvim_eval_statusline(expression, {}) end
  say("the same as an expression of 'statusline', its parsing by Neovim included: %.1f us",
    microseconds(from) / rounds)
end

local what = vim.env.WHAT
local ok, problem = xpcall(function()
  if what == "require" then
    local from = uv.hrtime()
    require "voicecredits"
    say("%.4f", microseconds(from) / 1e3)
    from = uv.hrtime()
    require "voicecredits.nvim"
    say("%.4f", microseconds(from) / 1e3)
    assert(not package.loaded["voicecredits.core"], "the C module was loaded")
  elseif what == "first" then -- the C module and libcurl are loaded while the timer ticks
    local without = without_checks()
    local with = with_checks()
    say("%.4f %.4f %.4f %.4f", without.tick, with.tick, without.work, with.work)
  else
    measure_lateness()
    measure_statusline()
  end
end, debug.traceback)
io.stdout:write(ok and table.concat(lines, "\n") or problem, "\n")
vim.cmd(ok and "qa!" or "cquit")
