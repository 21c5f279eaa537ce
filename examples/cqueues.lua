-- Balances in a cqueues program: one coroutine per account, all on one session, none of which holds up the loop.
-- Keys come from the environment: FISH_API_KEY and its like (`voicecredits providers` lists them).

local cqueues = require "cqueues"
local voicecredits = require "voicecredits"

local loop = cqueues.new()
local left = 0

for _, provider in ipairs(voicecredits.providers()) do
  if os.getenv(provider.key_variable) then
    left = left + 1
    loop:wrap(function()
      local balance, failure = voicecredits.check(provider.name, { wait = voicecredits.wait.cqueues, timeout = 5 })
      print(balance or failure)
      left = left - 1
    end)
  end
end

-- What else the program does goes on meanwhile.
loop:wrap(function()
  local turns = 0
  while left > 0 do
    cqueues.sleep(0.001)
    turns = turns + 1
  end
  io.stderr:write(("the loop went on: %d turns\n"):format(turns))
end)

assert(loop:loop())
