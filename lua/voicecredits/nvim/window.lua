-- The floating window: the command's table, refreshed in place as answers come.

local client = require "voicecredits.nvim.client"
local config = require "voicecredits.nvim.config"
local ledger = require "voicecredits.nvim.ledger"
local report = require "voicecredits.report"

local window = {}

local namespace = vim.api.nvim_create_namespace("voicecredits")
local buffer, win -- of the open window
local shown = {}  -- its entries
local ask_again   -- what `r` does

local function is_open() return win ~= nil and vim.api.nvim_win_is_valid(win) end

-- The text -----------------------------------------------------------------------------------------------------------

local function split(lines)
  return vim.split(lines:gsub("\n$", ""), "\n", { plain = true })
end

local function header() return split(report.check({}, { format = "table", checked_at = 0 })) end

-- Where there is no balance yet: what is waited for, or what this side has to say. It needs no C module.
local function plain_table()
  local lines, widest = header(), 0
  for _, entry in ipairs(shown) do widest = math.max(widest, vim.fn.strdisplaywidth(ledger.title(entry))) end
  for _, entry in ipairs(shown) do
    local title, failure = ledger.title(entry), entry.failure
    local text = failure and ("%s: %s"):format(failure.kind, failure.message):gsub("%c", " ") or "asking: no answer yet"
    lines[#lines + 1] = title .. (" "):rep(widest - vim.fn.strdisplaywidth(title) + 2) .. text
  end
  return lines
end

local function full_table()
  local rows = {}
  for i, entry in ipairs(shown) do
    local row = { provider = entry.provider, account = entry.account, balance = entry.balance }
    if not row.balance then row.failure = entry.failure or { kind = "asking", message = "no answer yet" } end
    rows[i] = row
  end
  return split(report.check(rows, { format = "table", checked_at = 0 }))
end

local function note(entry)
  local time = os.date("%Y-%m-%d %H:%M", math.floor(entry.balance.fetched_at))
  return ("%s: as of %s, then %s"):format(ledger.title(entry), time, report.failure(entry.failure))
end

local function is_stale(entry) return entry.balance ~= nil and entry.failure ~= nil end

local function foot()
  local asking = 0
  for _, entry in ipairs(shown) do
    if entry.asking then asking = asking + 1 end
  end
  if asking > 0 then return ("asking %d of %d · q closes"):format(asking, #shown) end
  return "r asks again · q closes"
end

local function no_accounts()
  local lines = { "No key was found. Set one of these variables, or the option 'accounts':", "" }
  for _, provider in ipairs(config.providers) do lines[#lines + 1] = "  " .. ledger.key_variable(provider) end
  vim.list_extend(lines, { "", ":help voicecredits · q closes" })
  return lines
end

-- The lines, and how many of the first are the table's.
local function text()
  if #shown == 0 then return no_accounts(), 0 end
  local lines = client.is_ready() and full_table() or plain_table()
  local count = #lines
  lines[#lines + 1] = ""
  for _, entry in ipairs(shown) do
    if is_stale(entry) then lines[#lines + 1] = note(entry) end
  end
  lines[#lines + 1] = foot()
  return lines, count
end

-- Colours ------------------------------------------------------------------------------------------------------------

local links = {
  VoiceCreditsHeader = "Title", VoiceCreditsGood = "String", VoiceCreditsLow = "WarningMsg",
  VoiceCreditsUnknown = "Comment", VoiceCreditsStale = "Comment", VoiceCreditsFailure = "ErrorMsg",
  VoiceCreditsNote = "Comment",
}

local function define_colours()
  for name, target in pairs(links) do vim.api.nvim_set_hl(0, name, { default = true, link = target }) end
end

local function colour(line, group, from, to)
  vim.api.nvim_buf_set_extmark(buffer, namespace, line, from, { end_col = to, hl_group = group })
end

local function colour_of(entry)
  if entry.balance then
    if is_stale(entry) then return "VoiceCreditsStale" end
    if not entry.balance.remaining then return "VoiceCreditsUnknown" end
    return entry.low and "VoiceCreditsLow" or "VoiceCreditsGood"
  end
  return entry.failure and "VoiceCreditsFailure" or "VoiceCreditsNote"
end

-- The amount of a balance, all of a failure.
local function colour_row(number, line, entry)
  local from = math.min(#ledger.title(entry), #line)
  local to = #line
  if entry.balance then
    local first, last = line:find(report.amount(entry.balance), from + 1, true)
    if not first then return end
    from, to = first - 1, last
  end
  colour(number, colour_of(entry), from, to)
end

local function paint(lines, count)
  vim.api.nvim_buf_clear_namespace(buffer, namespace, 0, -1)
  if count > 0 then colour(0, "VoiceCreditsHeader", 0, #lines[1]) end
  for i, entry in ipairs(shown) do
    if i < count then colour_row(i, lines[i + 1], entry) end
  end
  for i = count + 1, #lines do colour(i - 1, "VoiceCreditsNote", 0, #lines[i]) end
end

-- The window ---------------------------------------------------------------------------------------------------------

local function layout(lines)
  local widest = 20
  for _, line in ipairs(lines) do widest = math.max(widest, vim.fn.strdisplaywidth(line)) end
  local width = math.max(1, math.min(widest, vim.o.columns - 4))
  local height = 0
  for _, line in ipairs(lines) do height = height + math.max(1, math.ceil(vim.fn.strdisplaywidth(line) / width)) end
  height = math.max(1, math.min(height, vim.o.lines - vim.o.cmdheight - 4))
  return {
    relative = "editor", width = width, height = height,
    row = math.max(0, math.floor((vim.o.lines - vim.o.cmdheight - height) / 2) - 1),
    col = math.max(0, math.floor((vim.o.columns - width) / 2) - 1),
  }
end

local function redraw()
  if not is_open() then return end
  local lines, count = text()
  vim.bo[buffer].modifiable = true
  vim.api.nvim_buf_set_lines(buffer, 0, -1, false, lines)
  vim.bo[buffer].modifiable = false
  paint(lines, count)
  vim.api.nvim_win_set_config(win, layout(lines))
end

local function close()
  if is_open() then vim.api.nvim_win_close(win, true) end
  win = nil
end

local function new_buffer()
  buffer = vim.api.nvim_create_buf(false, true)
  vim.bo[buffer].bufhidden = "wipe"
  vim.bo[buffer].filetype = "voicecredits"
  for key, action in pairs { r = function() ask_again() end, q = close, ["<Esc>"] = close } do
    vim.keymap.set("n", key, action, { buffer = buffer, nowait = true, silent = true })
  end
end

local function open()
  if is_open() then return vim.api.nvim_set_current_win(win) end
  define_colours()
  new_buffer()
  local options = layout({})
  options.style, options.border = "minimal", config.get().border
  if vim.fn.has("nvim-0.9") == 1 and options.border ~= "none" then
    options.title, options.title_pos = " voice credits ", "center"
  end
  win = vim.api.nvim_open_win(buffer, true, options)
  vim.wo[win].wrap, vim.wo[win].linebreak = true, true
  vim.api.nvim_create_autocmd("VimResized", {
    group = vim.api.nvim_create_augroup("voicecredits_window", {}),
    callback = redraw,
    desc = "voicecredits: fit the window",
  })
end

--- Opens the window, or turns the open one to these accounts.
---@param entries voicecredits.nvim.entry[]
---@param again fun() what the key `r` does
function window.open(entries, again)
  shown, ask_again = entries, again
  open()
  redraw()
end

ledger.subscribe(redraw)

return window
