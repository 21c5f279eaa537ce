-- Balances in a copas program: one coroutine per account, all on one session, none of which holds up the loop.
-- Keys come from the environment: FISH_API_KEY and its like (`voicecredits providers` lists them).

local copas = require "copas" -- before socket.http, if you use that
local voicecredits = require "voicecredits"

local left = 0

local function show(name)
  local balance, failure = voicecredits.check(name, { wait = voicecredits.wait.copas, timeout = 5 })
  print(balance or failure)
  left = left - 1
end

for _, provider in ipairs(voicecredits.providers()) do
  if os.getenv(provider.key_variable) then
    left = left + 1
    copas.addthread(function() show(provider.name) end)
  end
end

-- A server would call copas.loop().
while left > 0 do copas.step() end
