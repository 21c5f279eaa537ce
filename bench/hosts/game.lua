-- How long voicecredits holds a game's frame: bench/hosts/game.lua [ROUNDS]
--
-- A loop of 1 ms frames calls session.next once in each. In each round a new session submits five checks over TLS
-- within one frame, to hosts that it meets for the first time: one answers, two are not trusted (which reads the
-- system's certificates), one accepts and says nothing, one refuses the connection. The same number of frames without a
-- check is the comparison. Sessions are opened and closed between the rounds; that is measured apart. "held" is the
-- time in this module, "late" is how long after its time a frame began: on few cores the servers have a part in it.
-- A frame from which the system took the processor ("preempted", told on Linux) counts as held all the same.
-- Run from the repository's root with LUA_PATH and LUA_CPATH as the Makefile sets them.

local monotime = require "cqueues".monotime
local socket = require "socket"
local support = require "spec.support.server"
local voicecredits = require "voicecredits"

local FRAME, LONG = 0.001, 0.001
local rounds = tonumber(arg[1]) or 200

local raw = support.raw_server()
local hosts = {}
for i = 1, 3 do hosts[i] = support.tls_server { body = '{"balance":7}' } end

local checks = {
  { base_url = hosts[1].url, ca_file = hosts[1].ca_file, timeout = 5 },
  { base_url = hosts[2].url, timeout = 5 },
  { base_url = hosts[3].url, timeout = 5 },
  { base_url = raw:url("hang"):gsub("^http:", "https:"):gsub("/hang$", ""), timeout = 0.15 },
  { base_url = "https://127.0.0.1:1", timeout = 5 },
}
for _, options in ipairs(checks) do options.api_key, options.retries = "k", 0 end

-- Samples in seconds, told in milliseconds.
local function report(name, samples)
  table.sort(samples)
  local function at(share) return samples[math.max(1, math.ceil(#samples * share))] * 1000 end
  print(("%-34s %8d  median %7.4f  p99 %7.4f  p99.9 %7.4f  max %7.4f ms"):format(name, #samples, at(0.5), at(0.99),
    at(0.999), at(1)))
end

local function timed(samples, work)
  local before = monotime()
  local result = work()
  samples[#samples + 1] = monotime() - before
  return result
end

-- How often the thread that runs Lua had the processor taken away, and how often it slept (for a lock, too).
local function switches()
  local file = io.open "/proc/self/status"
  if not file then return 0, 0 end
  local text = file:read "*a"
  file:close()
  local function count(name) return tonumber(text:match("\n" .. name .. "_ctxt_switches:%s*(%d+)") or 0) end
  return count "nonvoluntary", count "voluntary"
end

local function note_long(loop, taken, slept)
  if loop.held[#loop.held] <= LONG then return end
  local taken_now, slept_now = switches()
  loop.long = loop.long + 1
  if taken_now > taken then loop.preempted = loop.preempted + 1 end
  if slept_now > slept then loop.slept = loop.slept + 1 end
end

-- Runs frames as long as `go_on(frame)`; `work(frame)` is what is measured of each.
local function run_frames(loop, work, go_on)
  local frame, due = 0, monotime()
  while go_on(frame) do
    local taken, slept = switches()
    local started = monotime()
    loop.late[#loop.late + 1] = started - due
    timed(loop.held, function() work(frame) end)
    note_long(loop, taken, slept)
    frame, due = frame + 1, started + FRAME
    local rest = due - monotime()
    if rest > 0 then socket.sleep(rest) end
  end
  return frame
end

local with = { held = {}, late = {}, long = 0, preempted = 0, slept = 0 }
local without = { held = {}, late = {}, long = 0, preempted = 0, slept = 0 }
local submitting, opening, closing, kinds = {}, {}, {}, {}

local function submit_all(session)
  for _, options in ipairs(checks) do assert(session:submit("supertone", options)) end
end

local idle = assert(voicecredits.session())
for _ = 1, rounds do
  local session = timed(opening, function() return assert(voicecredits.session()) end)
  local frames = run_frames(with, function(frame)
    if frame == 0 then timed(submitting, function() submit_all(session) end) end
    local id, balance, failure = session:next()
    if id then
      local kind = balance and "answered" or failure.kind
      kinds[kind] = (kinds[kind] or 0) + 1
    end
  end, function(frame) return frame == 0 or session:pending() > 0 end)
  timed(closing, function() session:close() end)
  run_frames(without, function() idle:next() end, function(frame) return frame < frames end)
end

print(("%d rounds of five checks; how they ended:"):format(rounds))
for kind, count in pairs(kinds) do print(("  %-12s %d"):format(kind, count)) end
report("frame held, with checks", with.held)
report("frame held, no checks", without.held)
for name, loop in pairs { ["with checks"] = with, ["no checks"] = without } do
  print(("frames held above 1 ms, %s: %d; preempted in %d of them, asleep in %d")
    :format(name, loop.long, loop.preempted, loop.slept))
end
report("  of it: submitting all five", submitting)
report("frame late, with checks", with.late)
report("frame late, no checks", without.late)
report("opening a session (not in a frame)", opening)
report("closing it (not in a frame)", closing)

idle:close()
raw:stop()
for _, host in ipairs(hosts) do host:stop() end
