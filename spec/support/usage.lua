--- What this process has of the system's: memory, descriptors, threads. Linux only.

local files = require "spec.support.files"
local process = require "process"

local usage = {}

---@class spec.usage
---@field resident integer KiB of memory that it has now, to the page
---@field allocated number KiB that malloc has given out, Lua's own included; 0 where the C library does not tell
---@field peak integer KiB of memory that it had at most
---@field descriptors integer
---@field threads integer

--- Taken after a full garbage collection.
---@return spec.usage
function usage.now()
  collectgarbage()
  collectgarbage()
  local rollup, status = files.read "/proc/self/smaps_rollup", files.read "/proc/self/status"
  return {
    resident = tonumber(rollup:match "\nRss:%s*(%d+)"), allocated = process.allocated() / 1024,
    peak = tonumber(status:match "\nVmHWM:%s*(%d+)"), threads = tonumber(status:match "\nThreads:%s*(%d+)"),
    descriptors = process.descriptors(),
  }
end

return usage
