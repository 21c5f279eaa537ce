-- Balances in a luv program: one coroutine per account, all on one session, none of which holds up the loop.
-- Keys come from the environment: FISH_API_KEY and its like (`voicecredits providers` lists them).

local uv = require "luv" -- here, not in a coroutine: luv runs its callbacks where it was loaded
local voicecredits = require "voicecredits"

local turns = 0
local timer = uv.new_timer()
timer:start(0, 1, function() turns = turns + 1 end) -- what else the program does goes on meanwhile

local left = 0

local function show(name)
  local balance, failure = voicecredits.check(name, { wait = voicecredits.wait.luv, timeout = 5 })
  print(balance or failure)
  left = left - 1
  if left == 0 then timer:close() end
end

for _, provider in ipairs(voicecredits.providers()) do
  if os.getenv(provider.key_variable) then
    left = left + 1
    coroutine.wrap(show)(provider.name)
  end
end

if left == 0 then timer:close() end
uv.run()
io.stderr:write(("the loop went on: %d turns\n"):format(turns))
