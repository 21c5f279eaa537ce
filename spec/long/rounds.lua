-- Ends in the middle of TLS handshakes, ROUNDS times each: rounds.lua [ROUNDS] [exit|close|state|fork|first]
--
--   exit   os.exit, with and without closing the state, in a process of its own each time
--   close  session:close
--   state  lua_close of a state whose checks are running, made inside this process
--   fork   a fork; the child checks on its own and ends, the parent's checks go on
--   first  the same in the first handshakes of a process, a new one each time, with four sessions more at work
--
-- In each round five checks begin at five TLS hosts, and at a random moment of the time that they need (measured first)
-- the end comes. Nothing may crash or hang, every check of a session that can still be asked comes back once, and after a
-- tenth of the rounds neither memory nor descriptors nor threads grow. Each kind is a process of its own, with an alarm
-- clock. Run by `make rounds`, which takes malloc's caches for threads away, so that what it has given out is known to
-- the byte. Linux only.

local certificates = require "spec.support.certificates"
local files = require "spec.support.files"
local nginx = require "spec.support.nginx"
local process = require "process"
local socket = require "socket"

local ROUNDS, ONLY = tonumber(arg[1]) or 1000, arg[2]
local PATIENCE = 20 -- seconds after which a round counts as hung
local ADDRESSES = { "127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5" }
local LEAST_CUT = 0.05 -- of the handshakes, at least so many must have been cut
local MORE_ALLOCATED = 1 -- KiB that malloc may have given out more at the end; without its caches it is exact
local MORE_RESIDENT = 2048 -- KiB: with as much given out, as many blocks come to lie differently (0.1 to 0.7 MiB seen)

math.randomseed(os.time())
io.stdout:setvbuf "no" -- or each child would write once more what its parent has not written yet

local home = files.lines_of("mktemp -d")[1]
local authority = home .. "/certificate.pem"
local port = nginx.free_port()

local function start_hosts()
  certificates.write_own(home, ADDRESSES)
  local listen = {}
  for i, address in ipairs(ADDRESSES) do listen[i] = ("listen %s:%d ssl;"):format(address, port) end
  return nginx.start { http = ([[
    server { %s ssl_certificate %s; ssl_certificate_key %s/key.pem;
      location / { default_type application/json; return 200 '{"balance":7}'; } }
  ]]):format(table.concat(listen, " "), authority, home), server = "location / { stub_status; }" }
end

-- How many connections have ended before there was a request on them. The one that asks has its own.
local function count_cut(hosts)
  local accepted, requests = hosts:get("/").body:match("\n%s*(%d+)%s+%d+%s+(%d+)")
  return accepted - requests
end

-- What goes on when the end comes. Text, since it runs in inner states too.
local beginning = ([[
  local voicecredits = require "voicecredits"
  local function options(address)
    return { api_key = "k", base_url = ("https://%%s:%d"):format(address), ca_file = %q, retries = 0, timeout = 15 }
  end
  local session = assert(voicecredits.session())
  local ids = {}
  for address in ("%s"):gmatch "%%S+" do ids[#ids + 1] = assert(session:submit("supertone", options(address))) end
]]):format(port, authority, table.concat(ADDRESSES, " "))

local load_text = loadstring or load
local begin = assert(load_text(beginning .. "return session, ids, options, voicecredits"))

-- Runs `work` in a forked process and returns its status and how long it took; an error is told and is status 1.
local function in_child(work)
  local begun = socket.gettime()
  local id = process.fork()
  if id == 0 then
    process.alarm(PATIENCE)
    local ok, problem = pcall(work)
    if not ok then io.stderr:write(tostring(problem), "\n") end
    process.leave(ok and 0 or 1)
  end
  return process.wait(id), socket.gettime() - begun
end

-- How long five checks take from submit to the last answer in a process that has made none before: the median of nine.
local function measure()
  local times, path = {}, home .. "/time"
  for i = 1, 9 do
    assert(in_child(function()
      local begun = socket.gettime()
      local session, ids = begin()
      for _, id in ipairs(ids) do assert(session:take(id, math.huge)) end
      files.write(path, ("%.9f"):format(socket.gettime() - begun))
    end) == 0, "the hosts do not answer")
    times[i] = tonumber(files.read(path))
  end
  table.sort(times)
  return times[5]
end

-- Every check that was submitted comes back from next exactly once: answered, or by `other`.
local function expect_all(session, ids, other)
  local open, count = {}, #ids
  for _, id in ipairs(ids) do open[id] = true end
  while session:pending() > 0 do
    assert(session:wait(PATIENCE), "a check does not come back")
    for id, balance, failure in session.next, session do
      assert(open[id], "an id comes back twice")
      assert(balance or failure.kind == other, tostring(failure))
      open[id], count = nil, count - 1
    end
  end
  assert(count == 0, "a check is lost")
end

-- The kinds -----------------------------------------------------------------------------------------------------------

-- Each gets a moment to wait and the number of the round, and returns how long the end took.
local kinds = {}
-- How many sessions each has at work; in the others every check goes on to its answer.
local cuts = { exit = 4, close = 1, state = 1 }

function kinds.exit(moment, round)
  local path = home .. "/time"
  local id = process.fork()
  if id == 0 then
    process.alarm(PATIENCE)
    local ok, problem = pcall(function()
      for _ = 1, cuts.exit do begin() end
      socket.sleep(moment)
      files.write(path, ("%.9f"):format(socket.gettime()))
    end)
    if ok then os.exit(0, round % 4 == 0) end
    io.stderr:write(tostring(problem), "\n")
    process.leave(1)
  end
  local status = process.wait(id)
  assert(status == 0, "the process ended with status " .. status)
  return socket.gettime() - tonumber(files.read(path))
end

function kinds.close(moment)
  local session, ids = begin()
  socket.sleep(moment)
  local begun = socket.gettime()
  session:close()
  local took = socket.gettime() - begun
  expect_all(session, ids, "cancelled")
  return took
end

function kinds.state(moment)
  return assert(require "state".run(beginning .. "require 'socket'.sleep(tonumber((...)))", ("%.9f"):format(moment)))
end

function kinds.fork(moment, round)
  local session, ids, options, voicecredits = begin()
  socket.sleep(moment)
  local begun = socket.gettime()
  local id = process.fork()
  if id == 0 then
    process.alarm(PATIENCE)
    local ok, problem = pcall(function()
      assert(assert(voicecredits.supertone(options(ADDRESSES[1]))).remaining == 7)
      assert(session:pending() == 0)
      if round % 3 > 0 then session:close() end
    end)
    if ok then os.exit(0, round % 2 == 0) end
    io.stderr:write(tostring(problem), "\n")
    process.leave(1)
  end
  local status = process.wait(id)
  local took = socket.gettime() - begun
  assert(status == 0, "the child ended with status " .. status)
  expect_all(session, ids)
  session:close()
  return took
end

-- OpenSSL sets itself up in the first handshakes, under locks that a fork must not copy closed.
function kinds.first(moment, round)
  assert(in_child(function()
    local sessions = {}
    for i = 1, 4 do sessions[i] = { begin() } end
    kinds.fork(moment, round)
    for _, others in ipairs(sessions) do expect_all(others[1], others[2]) end
  end) == 0)
  return 0 -- told by fork
end

-- Running them --------------------------------------------------------------------------------------------------------

local function check_flat(first, last)
  assert(last.descriptors <= first.descriptors, ("%d descriptors, then %d"):format(first.descriptors, last.descriptors))
  assert(last.threads <= first.threads, ("%d threads, then %d"):format(first.threads, last.threads))
  assert(last.allocated <= first.allocated + MORE_ALLOCATED,
    ("%.2f KiB from malloc, then %.2f"):format(first.allocated, last.allocated))
  assert(last.resident <= first.resident + MORE_RESIDENT,
    ("%d KiB of memory, then %d"):format(first.resident, last.resident))
end

-- All rounds of one kind; what this prints is the kind's line.
local function run_kind(name, window)
  local usage = require "spec.support.usage"
  local worst, first = 0, nil
  for round = 1, ROUNDS do
    process.alarm(2 * PATIENCE)
    local ok, took = pcall(kinds[name], math.random() * window, round)
    if not ok then error(("round %d: %s"):format(round, tostring(took)), 0) end
    worst = math.max(worst, took)
    if round == math.ceil(ROUNDS / 10) then first = usage.now() end
  end
  local last = usage.now()
  io.write(("%-6s %6d  longest %6.1f ms  descriptors %d, %d  threads %d, %d  allocated %.2f, %.2f  resident %d, %d KiB")
    :format(name, ROUNDS, worst * 1000, first.descriptors, last.descriptors, first.threads, last.threads,
      first.allocated, last.allocated, first.resident, last.resident))
  check_flat(first, last)
end

local function run(hosts)
  local window = measure()
  print(("five TLS checks in a new process: %.1f ms; ends at random moments of it; counts after a tenth and at the end")
    :format(window * 1000))
  local good = true
  for _, name in ipairs { "exit", "close", "state", "fork", "first" } do
    if not ONLY or ONLY == name then
      local before = count_cut(hosts)
      local status, seconds = in_child(function() run_kind(name, window) end)
      socket.sleep(0.1) -- for nginx to see the last ones
      local cut, all = count_cut(hosts) - before - 1, ROUNDS * #ADDRESSES * (cuts[name] or 1)
      if cuts[name] then io.write(("  cut %d of %d handshakes"):format(cut, all)) end
      print(("  %.0f s  %s"):format(seconds, status == 0 and "fine" or status == -14 and "FAILED: it hangs" or "FAILED"))
      if cuts[name] and cut < all * LEAST_CUT then
        print(("%s: not enough handshakes were cut to say anything"):format(name))
        good = false
      end
      good = good and status == 0
    end
  end
  return good
end

local hosts = start_hosts()
local ok, good = xpcall(function() return run(hosts) end, debug.traceback)
hosts:stop()
os.execute("rm -rf " .. files.quote(home))
if not ok then error(good, 0) end
os.exit(good and 0 or 1)
