--- The module itself.
---
---   voicecredits.lua many COUNT [IN_FLIGHT] COUNT accounts in one check_all, balances made
---   voicecredits.lua single COUNT           one account, COUNT times one after the other; tells the median time of one
---   voicecredits.lua rounds COUNT           COUNT times all accounts together; the median time of a round after the first
---   voicecredits.lua waiting COUNT          memory of COUNT accounts that wait
---   voicecredits.lua require                time of require, and of the first check after it

local clock = require "bench_clock"

local PATIENCE = 300 -- seconds: the time in line counts too
local mode, count, in_flight = arg[1], tonumber(arg[2]), tonumber(arg[3])

-- The five: { provider, base_url, api_key }.
local function read_five()
  local five = {}
  for line in io.lines(os.getenv "BENCH_ACCOUNTS") do
    local provider, base_url, header = line:match "^(%S+)\t(%S+)\t.*\t([^\t]+)$"
    five[#five + 1] = { provider = provider, base_url = base_url, api_key = header:match "(%S+)$" }
  end
  return five
end

local five = read_five()

local function accounts(number)
  local list = {}
  for i = 1, number do
    local one = five[(i - 1) % #five + 1]
    list[i] = { provider = one.provider, account = "a" .. i, base_url = one.base_url, api_key = one.api_key }
  end
  return list
end

local function good(balance, failure)
  if not balance then error(tostring(failure), 0) end
end

local function count_good(rows)
  for _, row in ipairs(rows) do good(row.balance, row.failure) end
  return #rows
end

-- Calls it once and then `number` times more; the median of what those took.
local function median_of(number, call)
  local times = {}
  for i = 0, number do
    local begun = clock.now()
    call()
    times[i] = clock.now() - begun
  end
  table.sort(times)
  print(("MEDIAN %.9f"):format(times[math.floor(number / 2) + 1]))
end

local modes = {}

-- Each host may have as many connections as it takes to keep IN_FLIGHT requests under way.
local function session_for(voicecredits)
  return in_flight and voicecredits.session { max_in_flight = in_flight, max_per_host = math.ceil(in_flight / #five) }
end

function modes.many()
  local voicecredits = require "voicecredits"
  return count_good(voicecredits.check_all(accounts(count), { session = session_for(voicecredits), timeout = PATIENCE }))
end

function modes.single()
  local voicecredits = require "voicecredits"
  local one = five[1]
  local options = { api_key = one.api_key, base_url = one.base_url }
  median_of(count, function() good(voicecredits.check(one.provider, options)) end)
  return count
end

function modes.rounds()
  local voicecredits = require "voicecredits"
  local list = accounts(#five)
  median_of(count, function() count_good(voicecredits.check_all(list)) end)
  return count * #five
end

function modes.waiting()
  local voicecredits = require "voicecredits"
  local session = voicecredits.session { max_in_flight = 64, max_per_host = 13 }
  local list, ids = accounts(count), {}
  collectgarbage()
  local before = clock.resident()
  for i, account in ipairs(list) do
    ids[i] = session:submit(account.provider, { api_key = account.api_key, base_url = account.base_url,
      account = account.account })
  end
  print(("WAITING %.0f"):format((clock.resident() - before) * 1024 / count))
  session:close()
  return #ids
end

local function has_mapped(text)
  local file <close> = io.open "/proc/self/maps"
  return file:read "a":find(text, 1, true) ~= nil
end

function modes.require()
  local begun = clock.now()
  local voicecredits = require "voicecredits"
  local required = clock.now()
  local loaded = has_mapped "libcurl"
  local one = five[1]
  local from = clock.now()
  good(voicecredits[one.provider] { api_key = one.api_key, base_url = one.base_url })
  print(("REQUIRE %.9f"):format(required - begun))
  print(("FIRST %.9f"):format(clock.now() - from))
  print(("LOADED %d"):format(loaded and 1 or 0))
  return 1
end

print(("ANSWERED %d"):format(modes[mode]()))
