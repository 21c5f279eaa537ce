--- Runs inside Neovim: the scenario of a test, once Neovim has started. See editor.lua.
--
-- The scenario is a chunk that is called with the table `t` below. What it puts into `t.told` is what the test gets.

local uv = vim.uv or vim.loop
local t = { told = {}, notes = {} }

--- Everything that was announced, as { text, level }.
vim.notify = function(text, level) t.notes[#t.notes + 1] = { text, level } end

--- Waits until a condition holds; an error where it does not in good time.
function t.wait(condition, what)
  if vim.wait(20000, condition, 1) then return end
  error("this did not happen: " .. (what or "the condition"), 2)
end

--- Lets everything run that is scheduled by now.
function t.settle()
  local reached = false
  vim.schedule(function() reached = true end)
  t.wait(function() return reached end)
end

--- Types keys, as a user does.
function t.type(keys)
  vim.api.nvim_feedkeys(vim.api.nvim_replace_termcodes(keys, true, false, true), "xt", false)
end

--- The windows that float, and the lines of the first.
function t.floats()
  local function is_float(win) return vim.api.nvim_win_get_config(win).relative ~= "" end
  return vim.tbl_filter(is_float, vim.api.nvim_list_wins())
end

function t.lines()
  local win = t.floats()[1]
  return win and vim.api.nvim_buf_get_lines(vim.api.nvim_win_get_buf(win), 0, -1, false) or {}
end

function t.shows(text)
  return table.concat(t.lines(), "\n"):find(text, 1, true) ~= nil
end

--- Counts the checks that are asked for from now on, with the loop's time of each in seconds.
function t.count_checks()
  local client = require "voicecredits.nvim.client"
  local check, asked = client.check, { answered = 0 }
  client.check = function(provider, options, callback)
    asked[#asked + 1] = uv.hrtime() / 1e9
    return check(provider, options, function(...)
      callback(...)
      asked.answered = asked.answered + 1
    end)
  end
  return asked
end

--- Ticks of a timer of this many milliseconds.
function t.ticks(milliseconds)
  local ticks = { count = 0 }
  local timer = uv.new_timer()
  timer:start(milliseconds, milliseconds, function() ticks.count = ticks.count + 1 end)
  function ticks.stop()
    timer:stop()
    timer:close()
  end
  return ticks
end

local function finish(problem)
  t.told.problem = problem
  t.told.notes = t.notes
  if #t.notes == 0 then t.told.notes = nil end
  local file = assert(io.open(os.getenv "RESULT", "wb"))
  file:write(vim.json.encode(t.told))
  file:close()
  if problem then vim.cmd "cquit" end
  vim.cmd(t.quit or "qa!")
end

vim.api.nvim_create_autocmd("VimEnter", {
  once = true,
  callback = function()
    vim.schedule(function()
      local ok, problem = xpcall(function() assert(loadfile(os.getenv "SCENARIO"))(t) end, debug.traceback)
      finish(not ok and tostring(problem) or nil)
    end)
  end,
})
