--- What is measured, and the figures to reach.
---
--- A case is { id, title, entries, runs, figure, figure2 }: `entries` makes the list of who does what, each a contender
--- with its piece of work; `runs` is how often beside the other cases; `figure` is what a contender tells of itself.

local cases = {}

local IN_FLIGHT = 64
local ROUND_TRIP = 100 -- ms through the relay

-- The same work for every contender.
local function everybody(work)
  return function(contenders)
    local entries = {}
    for _, contender in ipairs(contenders) do
      if not contender.does or contender.does[work.mode] then
        entries[#entries + 1] = { key = contender.key, title = contender.title, contender = contender, work = work }
      end
    end
    return entries
  end
end

-- Work for some of them: { key, title (may be nil), work }.
local function these(list)
  return function(contenders)
    local entries = {}
    for _, one in ipairs(list) do
      for _, contender in ipairs(contenders) do
        if contender.key == one.key then
          entries[#entries + 1] = { key = one.name or one.key, title = one.title or contender.title,
            contender = contender, work = one.work }
        end
      end
    end
    return entries
  end
end

local function with_commas(number)
  return (tostring(number):reverse():gsub("(%d%d%d)(%d)", "%1,%2"):reverse())
end

--- The cases of a full run or of a quick one.
---@param quick boolean
function cases.list(quick)
  local some = quick and 2000 or 10000
  local many = quick and 20000 or 100000
  local singles, rounds = quick and 500 or 2000, quick and 5 or 20
  local function many_work(accounts, count)
    return { mode = "many", accounts = accounts, count = count, in_flight = IN_FLIGHT }
  end
  local function five(accounts) return { mode = "many", accounts = accounts, count = 5, in_flight = 5 } end
  return {
    {
      id = "a", title = ("%s checks, %d in flight, http, connections kept"):format(with_commas(some), IN_FLIGHT),
      entries = everybody(many_work("http", some)),
    },
    {
      id = "b", title = ("%s checks, %d in flight, https with HTTP/2"):format(with_commas(some), IN_FLIGHT),
      entries = everybody(many_work("https", some)),
    },
    {
      id = "c", title = "cold: a new process checks five hosts over https once and ends", runs = quick and 2 or 3,
      entries = everybody(five "https"),
    },
    {
      id = "d", title = ("one check in a warm session, http (median of %s)"):format(with_commas(singles)),
      figure = { name = "median", title = "one check, µs", scale = 1e6 },
      entries = everybody { mode = "single", accounts = "http", count = singles },
    },
    {
      id = "e", title = ("%s accounts in one check_all, %d in flight, http"):format(with_commas(many), IN_FLIGHT),
      runs = quick and 0.6 or 1,
      entries = these {
        { key = "bare", work = many_work("http", many) },
        { key = "voicecredits", work = many_work("http", many) },
        { key = "voicecredits", name = "some", title = ("voicecredits, %s accounts"):format(with_commas(some)),
          work = many_work("http", some) },
        { key = "voicecredits", name = "waiting", title = "voicecredits, accounts submitted and not yet answered",
          work = { mode = "waiting", accounts = "http", count = many } },
      },
    },
    {
      id = "f", title = ("cold, five hosts that are a round trip of %d ms away, https"):format(ROUND_TRIP),
      entries = everybody(five "relay"),
    },
    {
      id = "f2", title = ("warm, five hosts that are a round trip of %d ms away, https (median of %d rounds)")
        :format(ROUND_TRIP, rounds),
      figure = { name = "median", title = "five checks, ms", scale = 1e3 }, runs = quick and 0.4 or 1,
      entries = everybody { mode = "rounds", accounts = "relay", count = rounds },
    },
    {
      id = "g", title = "require \"voicecredits\", and the first check after it, http", runs = quick and 2 or 5,
      figure = { name = "require", title = "require, ms", scale = 1e3 },
      figure2 = { name = "first", title = "first check, ms", scale = 1e3 },
      entries = these { { key = "voicecredits", work = { mode = "require", accounts = "http", count = 1 } } },
    },
  }
end

-- ---- goals ----

local function times_bare(case, name)
  return function(r) return r[case].voicecredits[name] / r[case].bare[name] end
end

local function per_check(name)
  return function(r) return r.e.voicecredits[name] / r.e.voicecredits.count / (r.e.some[name] / r.e.some.count) end
end

-- The least of all that are neither ours nor bare libcurl.
local function least(results, name)
  local found
  for key, result in pairs(results) do
    local counts = key ~= "bare" and key ~= "voicecredits" and result[name]
    if counts and (not found or result[name] < found) then found = result[name] end
  end
  return found
end

local function times_best(case, name)
  return function(r) return r[case].voicecredits[name] / least(r[case], name) end
end

--- The figures to reach: { case, what, value(results), limit, base, form }. What counts is the value above `base`.
---
--- The quick run, which other work on the machine may hold up, looks at wall times so: of each contender its fastest run
--- (`undisturbed`); above what bare libcurl took where that is more than the base (`control`); not at all where it would
--- be a time without anything to hold it against (`reported`).
cases.goals = {
  { case = "a", what = "CPU, times bare libcurl", value = times_bare("a", "cpu"), limit = 1.10 },
  { case = "a", what = "wall time, times bare libcurl", value = times_bare("a", "wall"), limit = 1.05,
    undisturbed = times_bare("a", "fastest") },
  { case = "a", what = "CPU, times the best of the others", value = times_best("a", "cpu"), limit = 0.75 },
  { case = "b", what = "CPU, times bare libcurl", value = times_bare("b", "cpu"), limit = 1.10 },
  { case = "b", what = "wall time, times bare libcurl", value = times_bare("b", "wall"), limit = 1.05,
    undisturbed = times_bare("b", "fastest") },
  { case = "c", what = "CPU, times curl --parallel", limit = 0.25,
    value = function(r) return r.c.voicecredits.cpu / r.c.curl.cpu end },
  { case = "c", what = "CPU, times the best of the others", value = times_best("c", "cpu"), limit = 1 },
  { case = "c", what = "CPU, times bare libcurl", value = times_bare("c", "cpu"), limit = 1 },
  { case = "d", what = "time above bare libcurl, µs", limit = 100, form = "%.0f", reported = true,
    value = function(r) return (r.d.voicecredits.median - r.d.bare.median) * 1e6 end },
  { case = "e", what = "peak memory above case (a) per account more, KiB", limit = 1.5,
    value = function(r) return (r.e.voicecredits.peak - r.e.some.peak) / (r.e.voicecredits.count - r.e.some.count) end },
  { case = "e", what = "memory of an account that waits, KiB", limit = 1.5,
    value = function(r) return r.e.waiting.waiting / 1024 end },
  { case = "e", what = "wall time per check, times case (a)", value = per_check "wall", limit = 1.10,
    undisturbed = per_check "fastest" },
  { case = "f", what = "wall time of the process, ms", limit = 30, base = 2 * ROUND_TRIP, form = "%.0f",
    value = function(r) return r.f.voicecredits.wall * 1e3 end, control = function(r) return r.f.bare.wall * 1e3 end },
  { case = "f2", what = "five checks, ms", limit = 15, base = ROUND_TRIP, form = "%.0f",
    value = function(r) return r.f2.voicecredits.median * 1e3 end,
    control = function(r) return r.f2.bare.median * 1e3 end },
  { case = "g", what = "require, ms", limit = 0.5, reported = true,
    value = function(r) return r.g.voicecredits.require * 1e3 end },
  { case = "g", what = "libcurl is loaded by require (0: no)", limit = 0, form = "%.0f",
    value = function(r) return r.g.voicecredits.loaded end },
}

return cases
