-- Accounts: which there are, and the options of each. The keys themselves are read where they are used, in the C module:
-- from an account's `api_key`, else from the provider's environment variable.

local accounts = {}

-- Options that belong to a call of check_all as a whole, not to one account.
local of_the_call = { session = true, wait = true }

--- The accounts whose keys are in the environment, in the order of the providers.
---@param core table the C module
---@return voicecredits.account[]
function accounts.from_environment(core)
  local found = {}
  for _, provider in ipairs(core.providers()) do
    local key = os.getenv(provider.key_variable)
    if key and key ~= "" then
      found[#found + 1] = { provider = provider.name, account = "default" }
    end
  end
  return found
end

-- The options that one provider alone has: as defaults they are for its accounts only.
local function owners_of_options(core)
  local owners = {}
  for _, provider in ipairs(core.providers()) do
    for _, name in ipairs(core.own_options(provider.name)) do
      owners[name] = owners[name] or {}
      owners[name][provider.name] = true
    end
  end
  return owners
end

--- Makes a function that gives an account's provider and the options of its check: its own, then the defaults.
---@param core table the C module
---@param defaults table|nil
---@return fun(account: voicecredits.account): string, table
function accounts.resolver(core, defaults)
  local owners = defaults and next(defaults) ~= nil and owners_of_options(core)
  return function(account)
    local options = {}
    for name, value in pairs(account) do
      if name ~= "provider" then options[name] = value end
    end
    if owners then
      for name, value in pairs(defaults) do
        local meant = not owners[name] or owners[name][account.provider]
        if options[name] == nil and meant and not of_the_call[name] then options[name] = value end
      end
    end
    return account.provider, options
  end
end

return accounts
