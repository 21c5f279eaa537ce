-- The options of the Neovim plugin: their defaults, what they may be, and those in force, which are the defaults,
-- changed by vim.g.voicecredits, changed by setup{}.

local config = {}

-- The C module has these names too; here they are known without it, so that completion and a start without any key
-- cost nothing. A test holds the two against each other.
config.providers = { "supertone", "suno", "fish", "srtgen", "breeze" }

---@class voicecredits.nvim.options
---@field accounts? (string|voicecredits.account)[] whom to watch: names, or tables as for check_all; the environment's
--- when absent
---@field interval? number seconds between two background refreshes, 300
---@field timeout? number seconds that a check may take, 10
---@field watch? boolean refresh in the background from the start on, not only once statusline() is used
---@field low? false|number|table<string, number|false> from below which amount a balance is low: by "provider/account",
--- provider or unit; { credits = 100, USD = 1 }
---@field separator? string between two accounts in the status line, two blanks
---@field format? fun(status: voicecredits.nvim.status): string the text of one account in the status line
---@field border? string|table of the floating window, as nvim_open_win takes it

---@return voicecredits.nvim.options
local function defaults()
  return {
    interval = 300,
    timeout = 10,
    watch = false,
    low = { credits = 100, USD = 1 },
    separator = "  ",
    border = "rounded",
  }
end

-- Errors -------------------------------------------------------------------------------------------------------------

local function distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local change = diagonal + (a:byte(i) == b:byte(j) and 0 or 1)
      diagonal = row[j]
      row[j] = math.min(change, row[j] + 1, row[j - 1] + 1)
    end
  end
  return row[#b]
end

local function nearest(word, valid)
  local best
  for _, candidate in ipairs(valid) do
    if not best or distance(word, candidate) < distance(word, best) then best = candidate end
  end
  return best
end

-- A wrong word is shown only where it can be nothing but a slip, as the C module does it: a long one, or one with a digit
-- in it, may be a key in the wrong place.
local function unknown(what, word, valid)
  if type(word) ~= "string" then return ("%s names are strings, found a %s"):format(what, type(word)) end
  local is_slip = #word <= 24 and word:find("^[%a_/%-]*$")
  local shown = is_slip and (" '%s'"):format(word) or (" of %d characters"):format(#word)
  return ("unknown %s%s, the nearest is '%s'"):format(what, shown, nearest(word, valid))
end

local function contains(list, word)
  for _, other in ipairs(list) do
    if other == word then return true end
  end
  return false
end

-- Each of what follows returns nil, or in one line what is wrong.

local function typed(name, value, expected)
  if type(value) ~= expected then return ("option '%s' must be a %s, found %s"):format(name, expected, type(value)) end
end

local function seconds(name, value)
  local wrong = typed(name, value, "number")
  if wrong then return wrong end
  if not (value > 0 and value <= 1e6) then
    return ("option '%s' must be more than 0 and at most 1e6 seconds"):format(name)
  end
end

-- Options of a check -------------------------------------------------------------------------------------------------

-- All but `session` and `wait`, which are the editor's own business here.
local check_options = {
  api_key = "string", account = "string", base_url = "string", timeout = "number", connect_timeout = "number",
  retries = "number", proxy = "string", ca_file = "string", ca_path = "string",
}
local fish_options = { user_id = "string", team_id = "string", check_free_credit = "boolean" }

local function own_options(provider) return provider == "fish" and fish_options or {} end

local function names_of_check_options(provider)
  local names = vim.tbl_keys(check_options)
  vim.list_extend(names, vim.tbl_keys(own_options(provider)))
  table.sort(names)
  return names
end

--- What is wrong with the arguments of a check, as far as it can be told without the C module.
---@param provider any
---@param options any
---@return string?
function config.wrong_check(provider, options)
  if not contains(config.providers, provider) then return unknown("provider", provider, config.providers) end
  if options == nil then return nil end
  if type(options) ~= "table" then return ("a table of options expected, found %s"):format(type(options)) end
  for name, value in pairs(options) do
    local expected = check_options[name] or own_options(provider)[name]
    if not expected then return unknown(provider .. " option", name, names_of_check_options(provider)) end
    local wrong = typed(name, value, expected)
    if wrong then return wrong end
  end
end

-- Options of the plugin ----------------------------------------------------------------------------------------------

--- "fish" or "fish/studio" as an account; nil and what is wrong otherwise.
---@param word any
---@return { provider: string, account: string }?
---@return string? problem
function config.account(word)
  local provider, label = tostring(word):match("^([^/]*)/?(.*)$")
  if not contains(config.providers, provider) then return nil, unknown("provider", provider, config.providers) end
  return { provider = provider, account = label ~= "" and label or "default" }
end

local function wrong_account(item)
  if type(item) == "string" then return select(2, config.account(item)) end
  if type(item) ~= "table" then return ("must be a provider's name or a table, found %s"):format(type(item)) end
  local options = {}
  for name, value in pairs(item) do
    if name ~= "provider" then options[name] = value end
  end
  return config.wrong_check(item.provider, options)
end

local rules = {}

function rules.accounts(name, value)
  local wrong = typed(name, value, "table")
  if wrong then return wrong end
  for key in pairs(value) do
    if type(key) ~= "number" then return "option 'accounts' must be a list" end
  end
  for i, item in ipairs(value) do
    wrong = wrong_account(item)
    if wrong then return ("option 'accounts', account %d: %s"):format(i, wrong) end
  end
end

rules.interval, rules.timeout = seconds, seconds
function rules.watch(name, value) return typed(name, value, "boolean") end
function rules.separator(name, value) return typed(name, value, "string") end
function rules.format(name, value) return typed(name, value, "function") end

function rules.border(name, value)
  if type(value) ~= "string" and type(value) ~= "table" then
    return ("option '%s' must be a string or a table, found %s"):format(name, type(value))
  end
end

local function is_limit(value) return value == false or type(value) == "number" and value == value end

function rules.low(_, value)
  if is_limit(value) then return nil end
  if type(value) ~= "table" then
    return ("option 'low' must be false, a number or a table, found %s"):format(type(value))
  end
  local valid = vim.list_extend({ "credits", "USD" }, config.providers)
  for key, limit in pairs(value) do
    local word = type(key) == "string" and key:match("^[^/]+") or key
    if not contains(valid, word) then return unknown("name in option 'low':", word, valid) end
    if not is_limit(limit) then
      return ("option 'low', '%s' must be a number or false, found %s"):format(key, type(limit))
    end
  end
end

local function wrong_options(options, where)
  if type(options) ~= "table" then return ("%s must be a table, found %s"):format(where, type(options)) end
  local names = vim.tbl_keys(rules)
  table.sort(names)
  for name, value in pairs(options) do
    local wrong = not rules[name] and unknown("option", name, names) or rules[name] and rules[name](name, value)
    if wrong then return ("%s: %s"):format(where, wrong) end
  end
end

-- Those in force -----------------------------------------------------------------------------------------------------

local given, in_force = {}, nil

local function merge(into, options)
  for name, value in pairs(options) do
    if name == "low" and type(value) == "table" and type(into.low) == "table" then
      into.low = vim.tbl_extend("force", into.low, value)
    else
      into[name] = type(value) == "table" and vim.deepcopy(value) or value
    end
  end
end

--- Tells of a mistake.
---@param problem string
function config.complain(problem)
  vim.notify("voicecredits: " .. problem, vim.log.levels.ERROR, { title = "voicecredits" })
end

--- What is wrong with vim.g.voicecredits, if anything is.
---@return string?
function config.wrong_global()
  local global = vim.g.voicecredits
  if global ~= nil then return wrong_options(global, "vim.g.voicecredits") end
end

--- The options in force: a table that nobody else holds and that is only to be read. Not for fast events.
---@return voicecredits.nvim.options
function config.get()
  if in_force then return in_force end
  local made, wrong = defaults(), config.wrong_global()
  if wrong then
    config.complain(wrong .. " (its options are passed over)")
  elseif vim.g.voicecredits then
    merge(made, vim.g.voicecredits)
  end
  merge(made, given)
  in_force = made
  return made
end

--- Takes the options of setup{}, in the place of an earlier call's. Raises what is wrong with them, and then nothing
--- changes.
---@param options? voicecredits.nvim.options
---@param level integer whose mistake it is, as for error
function config.set(options, level)
  local wrong = options ~= nil and wrong_options(options, "voicecredits.nvim setup")
  if wrong then error(wrong, level + 1) end
  given, in_force = vim.deepcopy(options or {}), nil
end

--- Below which amount an account's balance is low; nil where it is never.
---@param entry { provider: string, account: string }
---@param unit? string its balance's; what is usual with the provider when absent
---@return number?
function config.limit(entry, unit)
  local low = config.get().low
  if type(low) ~= "table" then return low or nil end
  unit = unit or entry.provider == "fish" and "USD" or "credits"
  for _, key in ipairs { entry.provider .. "/" .. entry.account, entry.provider, unit } do
    if low[key] ~= nil then return low[key] or nil end
  end
end

return config
