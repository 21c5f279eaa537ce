--- `make bench`: runs every case, with its contenders in turn, several times, and prints the tables.
---
---   RUNS=5                      how often
---   CASES="a b" ONLY="bare voicecredits"     some of the cases, some of the contenders
---   QUICK=1                     less work, fewer contenders; ends with status 1 where a figure is worse than twice its goal

local cases = require "bench.cases"
local contenders = require "bench.contenders"
local files = require "spec.support.files"
local report = require "bench.report"
local site = require "bench.site"

local BENCH = os.getenv "BENCH" or "build/5.4/bench"
local quick = os.getenv "QUICK" == "1"
local runs = tonumber(os.getenv "RUNS" or "") or 5
local QUICK_CONTENDERS = "bare voicecredits curl"

local function set_of(text)
  local set = {}
  for word in text:gmatch "%S+" do set[word] = true end
  return next(set) and set or nil
end

local wanted_cases = set_of(os.getenv "CASES" or "")
local wanted_contenders = set_of(os.getenv "ONLY" or (quick and QUICK_CONTENDERS or ""))

-- ---- one run ----

-- Nothing of this machine's environment: what it says about certificates would decide the figures.
local function environment(here, accounts)
  local list = {
    PATH = os.getenv "PATH", HOME = here.home, LUA_PATH = os.getenv "LUA_PATH", LUA_CPATH = os.getenv "LUA_CPATH",
    BENCH_ACCOUNTS = here.accounts[accounts], BENCH_CA_FILE = here.home .. "/certs.pem",
    SSL_CERT_DIR = here.home .. "/certs", NODE_EXTRA_CA_CERTS = here.home .. "/authority.pem",
  }
  local words = {}
  for name, value in pairs(list) do words[#words + 1] = name .. "=" .. files.quote(value) end
  return table.concat(words, " ")
end

-- A smaller piece of work where the whole would take minutes; the times are multiplied afterwards.
local function share_of(entry)
  local work, share = entry.work, entry.contender.share and entry.contender.share[entry.work.accounts]
  if not share or work.count * share < 100 then return work, 1 end
  return { mode = work.mode, accounts = work.accounts, count = math.floor(work.count * share), in_flight = work.in_flight },
    1 / share
end

local function read_result(text, work, uncounted)
  local wall, cpu, peak, status = text:match "MEASURED (%S+) (%S+) (%S+) (%S+)\n$"
  local result = { wall = tonumber(wall), cpu = tonumber(cpu), peak = tonumber(peak) }
  for name, value in text:gmatch "(%u+) ([%d.]+)\n" do result[name:lower()] = tonumber(value) end
  local expected = work.mode == "rounds" and 5 * work.count or work.count
  if status ~= "0" or (not uncounted and result.answered ~= expected) then
    return { problem = "failed: " .. (text:match "[^\n]*" or "") }
  end
  return result
end

local function run_once(entry, here)
  local work, scale = share_of(entry)
  local command = ("env -i %s %s/measure %s 2>&1"):format(environment(here, work.accounts), BENCH,
    entry.contender.words(work, here))
  local pipe = assert(io.popen(command, "r"))
  local text = pipe:read "a"
  pipe:close()
  local result = read_result(text, work, entry.contender.uncounted)
  if scale > 1 and not result.problem then
    result.wall, result.cpu, result.scaled = result.wall * scale, result.cpu * scale, true
  end
  return result
end

-- ---- a case ----

local function median_result(list, count)
  local result = { count = count, scaled = list[1].scaled }
  for name, value in pairs(list[1]) do
    local values = {}
    for i, one in ipairs(list) do
      if one.problem then return one end
      values[i] = one[name]
    end
    if type(value) == "number" then
      table.sort(values)
      result[name] = values[math.ceil(#values / 2)]
      if name == "wall" then result.fastest = values[1] end
    end
  end
  return result
end

local function entries_of(case)
  local entries = {}
  for _, entry in ipairs(case.entries(contenders)) do
    local wanted = not wanted_contenders or wanted_contenders[entry.contender.key]
    if wanted then entries[#entries + 1] = entry end
  end
  return entries
end

local terminal = os.execute "test -t 2" == true

local function tell(text)
  if terminal then io.stderr:write("\r\27[K", text) end
end

-- A B C A B C ...: what else the machine does falls to all alike.
local function measure(case, here)
  local entries, found, results = entries_of(case), {}, {}
  local rounds = math.ceil(runs * (case.runs or 1))
  for round = 1, rounds do
    for _, entry in ipairs(entries) do
      tell(("(%s) %d of %d: %s"):format(case.id, round, rounds, entry.title))
      local list = found[entry.key] or {}
      found[entry.key] = list
      local failed = list[1] and list[1].problem
      if not entry.contender.installed then
        list[1] = { problem = "not installed" }
      elseif not failed then
        list[#list + 1] = run_once(entry, here)
      end
    end
  end
  tell ""
  for _, entry in ipairs(entries) do results[entry.key] = median_result(found[entry.key], entry.work.count) end
  report.case(case, entries, results)
  return results
end

-- ---- all of it ----

local function find_installed()
  for _, contender in ipairs(contenders) do
    contender.installed = os.execute(("{ %s; } >/dev/null 2>&1"):format(contender.there)) == true
  end
end

local function run(here)
  find_installed()
  report.machine(runs, here.authorities)
  local results = {}
  for _, case in ipairs(cases.list(quick)) do
    if not wanted_cases or wanted_cases[case.id:sub(1, 1)] then results[case.id] = measure(case, here) end
  end
  local bad = report.goals(cases.goals, results, quick and 2 or math.huge)
  report.contenders(contenders)
  if #bad > 0 then error("worse than twice the goal: " .. table.concat(bad, "; "), 0) end
end

local here = site.start { relay = BENCH .. "/relay" }
local ok, problem = xpcall(run, function(problem)
  return type(problem) == "string" and problem:find "^worse" and problem or debug.traceback(problem)
end, here)
here:stop()
if not ok then
  io.stderr:write(tostring(problem), "\n")
  os.exit(1)
end
