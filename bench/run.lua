local site = require "bench.site"
local BENCH, LUA = os.getenv "BENCH" or "build/5.4/bench", os.getenv "LUA" or "lua5.4"
local RUNS = tonumber(os.getenv "RUNS" or "5")
local COUNT = tonumber(os.getenv "COUNT" or "10000")

local here = site.start {}

local function run(command, accounts)
  local line = ("env -i PATH='%s' LUA_PATH='%s' LUA_CPATH='%s' SSL_CERT_DIR=%s/certs BENCH_ACCOUNTS=%s %s/measure %s")
    :format(os.getenv "PATH", os.getenv "LUA_PATH", os.getenv "LUA_CPATH", here.home, here.accounts[accounts], BENCH, command)
  local pipe = io.popen(line, "r")
  local text = pipe:read "a"
  pipe:close()
  local wall, cpu, peak, status = text:match "MEASURED (%S+) (%S+) (%S+) (%S+)"
  if status ~= "0" then error(line .. "\n" .. text, 0) end
  return { wall = tonumber(wall), cpu = tonumber(cpu), peak = tonumber(peak) }
end
local function median(list, name)
  local v = {}
  for i, one in ipairs(list) do v[i] = one[name] end
  table.sort(v)
  return v[math.ceil(#v / 2)]
end
local ok, problem = pcall(function()
  for _, case in ipairs { "http", "https" } do
    local found = { {}, {} }
    for _ = 1, RUNS do
      found[1][#found[1] + 1] = run(("%s/bare many %d 64"):format(BENCH, COUNT), case)
      found[2][#found[2] + 1] = run(("%s bench/contenders/voicecredits.lua many %d 64"):format(LUA, COUNT), case)
    end
    for i, name in ipairs { "bare", "voicecredits" } do
      local w, c, p = median(found[i], "wall"), median(found[i], "cpu"), median(found[i], "peak")
      print(("%-6s %-13s wall %.3f cpu %.3f peak %6d KiB  %.3f %.3f"):format(case, name, w, c, p, w / median(found[1], "wall"), c / median(found[1], "cpu")))
    end
  end
end)
here:stop()
if not ok then print(problem) os.exit(1) end
