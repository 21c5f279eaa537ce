-- The Neovim plugin's public module. Nothing here waits: what takes time is done on the session's own thread, and
-- answers come through the editor's event loop. The rooms behind it:
--
--   nvim/config.lua  the options            nvim/client.lua  the session in the editor's loop
--   nvim/ledger.lua  what is known of the accounts, and what is announced of them
--   nvim/status.lua  the status line's text and its timer    nvim/window.lua  the floating window

local nvim = {}

local status -- the room of that name, once it is needed
local watching = false

local function get_status()
  status = status or require "voicecredits.nvim.status"
  return status
end

--- Refreshes in the background from now on, as the first use of statusline() does: for announcements without a
--- status line.
function nvim.watch()
  watching = true
  get_status().start()
end

--- The balances as a short text for a status line: "fish $12.34 suno 1,250 cr". A low one ends with "!"; one that
--- could not be renewed is "~$12.34 (14:05)", with the time that it is from; an account that never had one tells why.
--- Empty before the first answers. It only reads what a timer keeps fresh; the first call starts that timer.
---@return string
function nvim.statusline()
  if not watching then nvim.watch() end
  return status.text
end

--- Changes defaults; not needed without any. Raises what is wrong with the options, and then nothing changes.
---@param options? voicecredits.nvim.options
function nvim.setup(options)
  require "voicecredits.nvim.config".set(options, 2)
  get_status().reconfigured()
end

--- Asks for one balance without waiting for it. The callback is called once, later, in the editor's own time (it may
--- use every function of Neovim), with what `check` of the module `voicecredits` returns. A missing C module, or an
--- option whose value is out of its bounds, is a failure of kind "configuration" too.
---@param provider string
---@param options? voicecredits.options
---@param callback fun(balance?: voicecredits.balance, failure?: voicecredits.failure)
---@return fun() cancel ends the check: the callback gets a failure of kind "cancelled"
---@overload fun(provider: string, callback: fun(balance?: voicecredits.balance, failure?: voicecredits.failure)): fun()
function nvim.check(provider, options, callback)
  if callback == nil and type(options) == "function" then options, callback = nil, options end
  local wrong = require "voicecredits.nvim.config".wrong_check(provider, options)
  if wrong then error("voicecredits.nvim check: " .. wrong, 2) end
  if type(callback) ~= "function" then
    error("voicecredits.nvim check: a callback function expected, found " .. type(callback), 2)
  end
  return require "voicecredits.nvim.client".check(provider, vim.deepcopy(options or {}), callback)
end

--- Opens the window and asks: all accounts, or those of words like "fish" and "fish/studio".
---@param words? string[]
function nvim.open(words)
  local ledger = require "voicecredits.nvim.ledger"
  local all = #(words or {}) == 0
  local function find()
    if all then return ledger.all() end
    return ledger.named(words)
  end
  local found, problem = find()
  if not found then
    return require "voicecredits.nvim.config".complain(problem)
  end
  local function ask()
    local entries = find() or {} -- anew each time: keys come and go
    require "voicecredits.nvim.window".open(entries, ask)
    if all then get_status().refreshed() end
    ledger.ask(entries)
  end
  ask()
end

--- The words that may follow :VoiceCredits, for completion.
---@param lead string what is there of the word
---@return string[]
function nvim.complete(lead)
  local config = require "voicecredits.nvim.config"
  local words = vim.list_extend({}, config.providers)
  for _, item in ipairs(config.get().accounts or {}) do
    local word = type(item) == "string" and item or item.provider .. "/" .. (item.account or "default")
    if not vim.tbl_contains(words, word) and not word:find("/default$") then words[#words + 1] = word end
  end
  return vim.tbl_filter(function(word) return vim.startswith(word, lead) end, words)
end

return nvim
