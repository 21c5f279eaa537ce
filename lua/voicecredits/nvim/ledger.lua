-- What is known of each account: its last good balance, its last failure, whether it is being asked. Shared by the
-- status line and the window; it also announces balances that become low, and those that recover.

local client = require "voicecredits.nvim.client"
local config = require "voicecredits.nvim.config"

local ledger = {}

---@class voicecredits.nvim.entry
---@field provider string
---@field account string
---@field options table of its check
---@field balance? voicecredits.balance the last good one, however long ago
---@field failure? voicecredits.failure why there is none that is newer
---@field answered? boolean
---@field asking boolean
---@field low boolean

local entries = {} -- by name
local listeners = {}

local function name_of(entry) return entry.provider .. "/" .. entry.account end

--- An account as people read it: "fish", or "fish/studio" where the label is another than "default".
---@param entry { provider: string, account: string }
---@return string
function ledger.title(entry)
  if entry.account == "default" then return entry.provider end
  return (name_of(entry):gsub("%c", " "))
end

-- The entry of an account; a new one where its options have changed, since what was known may be another account's.
local function entry_of(account, options)
  local name = name_of(account)
  local entry = entries[name]
  if not entry or not vim.deep_equal(entry.options, options) then
    entry = { provider = account.provider, account = account.account, options = options, asking = false, low = false }
    entries[name] = entry
  end
  return entry
end

local function options_of(item)
  local options = { timeout = config.get().timeout }
  for name, value in pairs(item) do
    if name ~= "provider" then options[name] = value end
  end
  return options
end

local function configured()
  local list = {}
  for _, item in ipairs(config.get().accounts or {}) do
    if type(item) == "string" then item = config.account(item) end
    list[#list + 1] = entry_of({ provider = item.provider, account = item.account or "default" }, options_of(item))
  end
  return list
end

--- The variable that holds a provider's key.
---@param provider string
---@return string
function ledger.key_variable(provider) return provider:upper() .. "_API_KEY" end

local function from_environment()
  local list = {}
  for _, provider in ipairs(config.providers) do
    if (os.getenv(ledger.key_variable(provider)) or "") ~= "" then
      local account = { provider = provider, account = "default" }
      list[#list + 1] = entry_of(account, options_of(account))
    end
  end
  return list
end

--- The accounts that there are: those of the configuration, or those whose keys are in the environment.
---@return voicecredits.nvim.entry[]
function ledger.all()
  return config.get().accounts and configured() or from_environment()
end

--- The accounts of words like "fish" and "fish/studio", each once; a provider's name means all of its accounts. One
--- that is not configured is asked all the same, with the environment's key. nil and a line where a word is wrong.
---@param words string[]
---@return voicecredits.nvim.entry[]?
---@return string? problem
function ledger.named(words)
  local known, found, seen = ledger.all(), {}, {}
  local function add(entry)
    if not seen[entry] then found[#found + 1] = entry end
    seen[entry] = true
  end
  for _, word in ipairs(words) do
    local account, problem = config.account(word)
    if not account then return nil, problem end
    local before = #found
    local whole = not word:find("/", 1, true)
    local matched = false
    for _, entry in ipairs(known) do
      if entry.provider == account.provider and (whole or entry.account == account.account) then
        matched = true
        add(entry)
      end
    end
    if not matched and account.account ~= "default" then
      return nil, ("%s has no account of this name: see the option 'accounts'"):format(account.provider)
    elseif not matched and #found == before then
      add(entry_of(account, options_of(account)))
    end
  end
  return found
end

--- Has a function called with each entry that changes.
---@param listener fun(entry: voicecredits.nvim.entry)
function ledger.subscribe(listener) listeners[#listeners + 1] = listener end

local function changed(entry)
  if entries[name_of(entry)] ~= entry then return end -- another has taken its place
  for _, listener in ipairs(listeners) do listener(entry) end
end

-- Announcements ------------------------------------------------------------------------------------------------------

local function announce(entry, text, level)
  vim.notify(("%s: %s"):format(ledger.title(entry), text), level, { title = "voicecredits" })
end

-- Whether the newest answer is low; nil where it does not tell: unknown is not zero, and a failure is no balance. That
-- all is used up is an answer, though it comes as a failure.
local function is_low(entry)
  local balance, failure = entry.balance, entry.failure
  local limit = config.limit(entry, balance and balance.unit)
  if failure then
    if failure.kind == "exhausted" and (limit or 0) > 0 then return true, "used up" end
    return nil
  end
  if not balance.remaining then return nil end
  if not limit then return false end
  local report = require "voicecredits.report"
  local text = ("%s %s left"):format(report.amount(balance), balance.unit)
  if balance.remaining < limit then return true, ("%s, below %s"):format(text, report.number(limit)) end
  return false, text .. " again"
end

local function judge(entry)
  local low, text = is_low(entry)
  if low == nil or low == entry.low then return end
  entry.low = low
  if text then announce(entry, text, low and vim.log.levels.WARN or vim.log.levels.INFO) end
end

-- Asking -------------------------------------------------------------------------------------------------------------

local function answered(entry, balance, failure)
  entry.asking = false
  entry.answered = true
  entry.balance = balance or entry.balance
  entry.failure = failure
  if entries[name_of(entry)] == entry then judge(entry) end
  changed(entry)
end

--- Asks for the balances of these accounts, but of those that are being asked already.
---@param list voicecredits.nvim.entry[]
function ledger.ask(list)
  for _, entry in ipairs(list) do
    if not entry.asking then
      entry.asking = true
      changed(entry)
      client.check(entry.provider, entry.options, function(balance, failure) answered(entry, balance, failure) end)
    end
  end
end

return ledger
