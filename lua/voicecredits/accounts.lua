-- Accounts: which there are. Their options and the keys themselves are read where they are used, in the C module: from an
-- account's `api_key`, else from the provider's environment variable.

local accounts = {}

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

return accounts
