--- Holds how long something took against how long it may take, on a machine that has other things to do as well.

local cqueues = require "cqueues"

local timing = {}

local TRIES = 3

local function time(work)
  local begun = cqueues.monotime()
  work()
  return cqueues.monotime() - begun
end

--- How many seconds `work` takes beyond `seconds`, less what a plain sleep of that length is late in the same moment. The
--- best of a few tries: what is slow by itself is slow each time. The first try that stays within `limit` is enough.
---@param seconds number
---@param limit number
---@param work fun()
---@return number
function timing.overshoot(seconds, limit, work)
  local best = math.huge
  for _ = 1, TRIES do
    local late = time(work) - seconds
    if late > limit then late = late - (time(function() cqueues.sleep(seconds) end) - seconds) end
    best = math.min(best, late)
    if best <= limit then break end
  end
  return best
end

timing.time = time

return timing
