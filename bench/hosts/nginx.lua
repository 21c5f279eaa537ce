--- What running checks cost the other requests of an nginx worker:
---   lua5.4 bench/hosts/nginx.lua [SECONDS] [PAIRS]      from the root, with make's LUA_PATH and LUA_CPATH
--
-- One worker serves a static location to wrk, for SECONDS without and for SECONDS with checks in the background, PAIRS
-- times in turn: short runs, so that what else the machine does falls to both. A round of checks is five over TLS to
-- hosts that the worker has not met before (each has a port of its own), of which one hangs in the handshake and one
-- refuses the connection. Told are wrk's latencies, how late a timer of 1 ms fires, and how long the checks' own code
-- runs at most before it gives the loop back.

local certificates = require "spec.support.certificates"
local cqueues = require "cqueues"
local write_file = require "spec.support.files".write
local nginx = require "spec.support.nginx"
local support = require "spec.support.server"

local SECONDS, PAIRS = tonumber(arg[1]) or 5, tonumber(arg[2]) or 8
local HANGING = 0.1 -- seconds until the check that hangs is given up; a round takes as long
local HOSTS = 1500 -- met one after the other, three a round; sockets below the ports that systems give to clients
local FIRST_PORT = 20000

local made = assert(io.popen("mktemp -d", "r"))
local home = made:read("*l")
made:close()
certificates.write_own(home)

write_file(home .. "/wrk.lua", [[
  function done(summary, latency)
    io.write(("WRK %d %.3f %.3f %.3f %.3f\n"):format(summary.requests, latency:percentile(50) / 1000,
      latency:percentile(99) / 1000, latency:percentile(99.9) / 1000, latency.max / 1000))
  end
]])

local hosts = nginx.start {
  http = ("server { listen 127.0.0.1:%d-%d ssl; ssl_certificate %s/certificate.pem; ssl_certificate_key %s/key.pem;"
    .. " location / { default_type application/json; return 200 '{\"balance\":1}'; } }")
    :format(FIRST_PORT, FIRST_PORT + HOSTS - 1, home, home),
  server = "location / { return 200; }", connections = 4096,
}
local raw = support.raw_server()

local worker = nginx.start {
  workers = 1,
  http = ([[
    init_worker_by_lua_block {
      local ffi = require "ffi"
      ffi.cdef "struct bench_time { long seconds, nanoseconds; }; int clock_gettime(int, struct bench_time *);"
      local read = ffi.new "struct bench_time"
      local function clock(id) -- milliseconds
        ffi.C.clock_gettime(id, read)
        return tonumber(read.seconds) * 1e3 + tonumber(read.nanoseconds) / 1e6
      end
      local function now() return clock(1) end -- monotonic
      local function cpu() return clock(3) end -- what this thread has used
      local openresty = require "voicecredits.openresty"
      openresty.prepare()
      local next_host, resumed, resumed_cpu = 0, nil, nil
      bench = { checking = false }
      function bench.clear() bench.rounds, bench.good, bench.late, bench.held, bench.used = 0, 0, 0, 0, 0 end
      bench.clear()

      local function account(base, timeout)
        return { provider = "supertone", account = base, api_key = "k", base_url = base, retries = 0,
          timeout = timeout or 5, ca_file = "%s/certificate.pem" }
      end
      local function fresh()
        next_host = next_host + 1
        return account(("https://127.0.0.1:" .. %d + next_host %% %d))
      end
      local function resume() resumed, resumed_cpu = now(), cpu() end
      local function suspend()
        bench.held, bench.used = math.max(bench.held, now() - resumed), math.max(bench.used, cpu() - resumed_cpu)
      end
      local function wait(session, attempt)
        suspend()
        openresty.wait(session, attempt)
        resume()
      end
      local function round()
        resume()
        local rows = openresty.check_all({ fresh(), account("https://127.0.0.1:%d", %g), fresh(),
          account "https://127.0.0.1:1", fresh() }, { wait = wait })
        suspend()
        for _, row in ipairs(rows) do bench.good = bench.good + (row.balance and 1 or 0) end
        bench.rounds = bench.rounds + 1
      end
      ngx.timer.at(0, function()
        while not ngx.worker.exiting() do
          if bench.checking then round() else ngx.sleep(0.01) end
        end
      end)
      ngx.timer.at(0, function()
        while not ngx.worker.exiting() do
          local begun = now()
          ngx.sleep(0.001)
          bench.late = math.max(bench.late, now() - begun - 1)
        end
      end)
    }
  ]]):format(home, FIRST_PORT, HOSTS, raw.port, HANGING),
  server = [[
    location / { return 200 "static\n"; }
    location = /check {
      content_by_lua_block {
        ngx.print(("%d %d %.3f %.3f %.3f"):format(bench.rounds, bench.good, bench.late, bench.held, bench.used))
        if not ngx.var.arg_on then return end
        bench.checking = ngx.var.arg_on == "1"
        bench.clear()
      }
    }
  ]],
}

local results = { [true] = {}, [false] = {} }
local totals = { rounds = 0, good = 0, held = 0, used = 0 }

local function median(numbers)
  table.sort(numbers)
  return (numbers[math.ceil(#numbers / 2)] + numbers[math.floor(#numbers / 2) + 1]) / 2
end

local function measure(checking)
  worker:get("/check?on=" .. (checking and 1 or 0))
  -- One connection: with more, nginx and wrk alone keep two cores busy, and whatever else runs is measured as latency.
  local pipe = assert(io.popen(("wrk -t1 -c1 -d%ds -s %s/wrk.lua http://127.0.0.1:%d/static 2>&1")
    :format(SECONDS, home, worker.port), "r"))
  local text = pipe:read("*a")
  pipe:close()
  local requests, p50, p99, p999, most = text:match("WRK (%S+) (%S+) (%S+) (%S+) (%S+)")
  if not requests then error("wrk: " .. text) end
  local rounds, good, late, held, used = worker:get("/check?on=0").body:match("(%S+) (%S+) (%S+) (%S+) (%S+)")
  print(("%-9s %8s requests  p50 %s  p99 %s  p99.9 %s  max %s ms | timer of 1 ms at most %s ms late"):format(
    checking and "checks" or "none", requests, p50, p99, p999, most, late))
  table.insert(results[checking], tonumber(p999))
  if checking then
    totals.rounds, totals.good = totals.rounds + rounds, totals.good + good
    totals.held, totals.used = math.max(totals.held, tonumber(held)), math.max(totals.used, tonumber(used))
  end
  cqueues.sleep(2 * HANGING) -- what still runs belongs to neither
end

local function run()
  -- The first round of a worker: its session is there, no host has been met.
  worker:get "/check?on=1"
  nginx.eventually("the first round", function()
    local rounds, _, late, held, used = worker:get("/check").body:match("(%S+) (%S+) (%S+) (%S+) (%S+)")
    if rounds == "0" then return false end
    print(("first     round: its code holds the loop for %s ms at most, %s of CPU; timer %s ms late")
      :format(held, used, late))
    return true
  end)
  worker:get "/check?on=0"
  cqueues.sleep(2 * HANGING)

  for _ = 1, PAIRS do
    measure(false)
    measure(true)
  end

  local without, with = median(results[false]), median(results[true])
  print(("median of p99.9: %.3f ms without checks, %.3f ms with them: %+.3f ms"):format(without, with, with - without))
  print(("%d rounds, %d of %d good checks answered; their code holds the loop for %.3f ms at most, %.3f of CPU")
    :format(totals.rounds, totals.good, totals.rounds * 3, totals.held, totals.used))

  for _, line in ipairs(worker:alarms()) do print(line) end
end

local ok, problem = xpcall(run, debug.traceback)
worker:stop()
hosts:stop()
raw:stop()
os.execute("rm -rf '" .. home .. "'")
if not ok then error(problem, 0) end
