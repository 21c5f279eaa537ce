-- The text for status lines, and the timer that keeps it fresh. The text is made when an answer comes; whoever shows
-- it only reads it.

local config = require "voicecredits.nvim.config"
local ledger = require "voicecredits.nvim.ledger"
local report = require "voicecredits.report"

local uv = vim.uv or vim.loop

--- `text` is the status line's; it is read by nvim.lua, and written here alone.
local status = { text = "" }

local started, focused = false, true
local timer
local last_time -- of the last refresh, in milliseconds of the loop's clock

---@class voicecredits.nvim.status what a `format` function is given
---@field provider string
---@field account string
---@field name string "fish", or "fish/studio"
---@field balance? voicecredits.balance the last good one
---@field failure? voicecredits.failure why there is no newer one: then the balance is stale
---@field stale boolean
---@field low boolean

-- The text -----------------------------------------------------------------------------------------------------------

-- At most two decimals, cut and not rounded: a status line is short, and never shows more than there is.
local function short(amount)
  local whole, decimals = amount:match("^(.-)%.(%d+)$")
  if not whole then return amount end
  decimals = decimals:sub(1, 2)
  return decimals:find("[1-9]") and whole .. "." .. decimals or whole
end

local function amount(balance)
  if not balance.remaining then return "unknown" end
  local text = short(report.amount(balance))
  if balance.unit ~= "USD" then return text .. " " .. (balance.unit == "credits" and "cr" or balance.unit) end
  local cents = text:match("%.(%d+)$")
  if cents and #cents == 1 then text = text .. "0" end
  return (text:gsub("^%-?", "%0$"))
end

local function when(seconds)
  return os.date(os.time() - seconds < 86400 and "%H:%M" or "%Y-%m-%d", math.floor(seconds))
end

local function standard_format(entry)
  local text
  if entry.balance and entry.stale then
    text = ("%s ~%s (%s)"):format(entry.name, amount(entry.balance), when(entry.balance.fetched_at))
  elseif entry.balance then
    text = ("%s %s"):format(entry.name, amount(entry.balance))
  else
    text = ("%s (%s)"):format(entry.name, entry.failure.kind)
  end
  return entry.low and text .. "!" or text
end

local complained = false

local function format(entry)
  local shown = {
    provider = entry.provider, account = entry.account, name = ledger.title(entry), balance = entry.balance,
    failure = entry.failure, stale = entry.balance ~= nil and entry.failure ~= nil, low = entry.low,
  }
  local custom = config.get().format
  if not custom then return standard_format(shown) end
  local ok, text = pcall(custom, shown)
  if ok and type(text) == "string" then return text end
  if not complained then
    complained = true
    local problem = ok and "it returned a " .. type(text) or tostring(text)
    config.complain("option 'format': " .. problem)
  end
  return standard_format(shown)
end

local function update()
  local parts = {}
  for _, entry in ipairs(ledger.all()) do
    local text = entry.answered and format(entry) or ""
    if text ~= "" then parts[#parts + 1] = text end
  end
  local text = table.concat(parts, config.get().separator)
  if text == status.text then return end
  status.text = text
  if started then vim.cmd("redrawstatus!") end
end

-- The timer ----------------------------------------------------------------------------------------------------------

local function now() return uv.hrtime() / 1e6 end

local refresh

-- Sets the timer to the time when the next refresh is due; while nobody looks there is none.
local function plan()
  if not started then return end
  timer:stop()
  if not focused then return end
  local due = last_time and last_time + config.get().interval * 1000 - now() or 0
  timer:start(math.max(0, math.ceil(due)), 0, vim.schedule_wrap(refresh))
end

function refresh()
  if not started or not focused then return end
  if last_time and now() - last_time < config.get().interval * 1000 then return plan() end
  last_time = now()
  ledger.ask(ledger.all())
  plan()
end

local function set_focus(has_focus)
  focused = has_focus
  plan()
end

local function begin()
  if started then return end
  started = true
  timer = uv.new_timer()
  local group = vim.api.nvim_create_augroup("voicecredits_status", {})
  local function on(events, callback)
    vim.api.nvim_create_autocmd(events, { group = group, callback = callback, desc = "voicecredits: refreshing" })
  end
  on({ "FocusLost", "VimSuspend" }, function() set_focus(false) end)
  on({ "FocusGained", "VimResume" }, function() set_focus(true) end)
  on("VimLeavePre", function()
    started = false
    timer:stop()
    timer:close()
  end)
  plan()
end

local wanted = false

--- Refreshes from now on; not before Neovim has started. May be called from anywhere, and again.
function status.start()
  if wanted then return end
  wanted = true
  vim.schedule(function()
    if vim.v.vim_did_enter == 1 then return begin() end
    vim.api.nvim_create_autocmd("VimEnter", {
      once = true,
      callback = function() vim.schedule(begin) end,
      desc = "voicecredits: refreshing",
    })
  end)
end

--- All have just been asked by hand: that was as good as a refresh.
function status.refreshed()
  last_time = now()
  plan()
end

--- The configuration has changed.
function status.reconfigured()
  if config.get().watch then status.start() end
  last_time = nil
  update()
  plan()
end

ledger.subscribe(update)

return status
