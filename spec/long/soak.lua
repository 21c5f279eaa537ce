-- One session for a very long time: soak.lua [COUNT]
--
-- COUNT checks against servers on loopback, up to WINDOW of them pending: seven in ten over kept-alive HTTP, one in eight
-- over HTTPS, some of those with a new handshake each, and the rest fail, in all the ways there are. Beside it a session
-- is opened, used and closed for every thousand checks. Each 10,000 checks it waits until all have come back and takes
-- stock; from the first time on neither memory nor descriptors nor threads may grow. Run by `make soak`. Linux only.

local certificates = require "spec.support.certificates"
local cqueues = require "cqueues"
local files = require "spec.support.files"
local nginx = require "spec.support.nginx"
local process = require "process"
local support = require "spec.support.server"
local usage = require "spec.support.usage"
local voicecredits = require "voicecredits"

local COUNT = tonumber(arg[1]) or 1000000
local WINDOW, STOCK, CHURN = 256, 10000, 1000
local PATIENCE = 60 -- seconds without an answer after which the soak counts as hung

-- A leak of 32 bytes a check, malloc's smallest block, would be 31 MB in a million and 600 KiB in 30,000. What comes and
-- goes without one: pages that malloc comes to keep, its caches, and connections (at most as many as may be in flight).
local MORE_RESIDENT, MORE_ALLOCATED, MORE_DESCRIPTORS = 512, 256, 64

local home = files.lines_of("mktemp -d")[1]
local tls_port, brief_port = nginx.free_port(), nginx.free_port()
certificates.write_own(home)
local server = support.raw_server()
server:set("reset", 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"bal', { reset = true })
local hosts = nginx.start {
  connections = 4096,
  http = ([[
    ssl_certificate %s/certificate.pem; ssl_certificate_key %s/key.pem; default_type application/json;
    server { listen 127.0.0.1:%d ssl http2; location / { return 200 '{"balance":7}'; } }
    server { listen 127.0.0.1:%d ssl; keepalive_timeout 0; location / { return 200 '{"balance":7}'; } }
  ]]):format(home, home, tls_port, brief_port),
  server = [[
    location /ok { return 200 '{"balance":7,"note":"kept alive"}'; }
    location /denied { return 401 '{}'; }
    location /down { return 503 '{}'; }
    location /limited { return 429 '{}'; }
    location /garbage { return 200 'garbage'; }
    location /closed { return 444; }
    location /cut { content_by_lua_block { ngx.header.content_length = 100 ngx.print '{' ngx.flush(true) ngx.exit(444) } }
    location /large { content_by_lua_block { ngx.print(('{"x":1}'):rep(200000)) } }
  ]],
}

-- The cases ------------------------------------------------------------------------------------------------------------

local function plain(name) return ("http://127.0.0.1:%d/%s"):format(hosts.port, name) end
local function secure(port) return ("https://127.0.0.1:%d"):format(port) end

-- In a round of a hundred checks each case has its share, and one result.
local cases = {
  { 70, plain "ok", "answered" },
  { 10, secure(tls_port), "answered", { ca_file = home .. "/certificate.pem" } },
  { 2, secure(brief_port), "answered", { ca_file = home .. "/certificate.pem" } },
  { 4, plain "down", "unavailable" },
  { 4, plain "denied", "authentication" },
  { 2, plain "limited", "rate_limited" },
  { 2, plain "garbage", "protocol" },
  { 2, plain "closed", "network" },
  { 1, plain "cut", "network" },
  { 3, "http://127.0.0.1:1", "network" },
}
-- And in each thousand, at these places, one that takes its time.
local rare = {
  [100] = { 0, plain "down", "unavailable", { retries = 1 } },
  [200] = { 0, server:url "reset", "network" },
  [300] = { 0, server:url "hang", "timeout", { timeout = 0.05 } },
  [400] = { 0, server:url "hang", "cancelled" },
  [500] = { 0, secure(tls_port), "tls" }, -- the authority is not known
  [600] = { 0, plain "large", "protocol" },
  [700] = { 0, "http://user@127.0.0.1", "configuration" },
}

local in_round = {}
for _, case in ipairs(cases) do
  for _ = 1, case[1] do in_round[#in_round + 1] = case end
end
assert(#in_round == 100)
for _, list in ipairs { cases, rare } do
  for _, case in pairs(list) do
    local options = { api_key = "k", retries = 0, timeout = 60, base_url = case[2] }
    for name, value in pairs(case[4] or {}) do options[name] = value end
    case.options = options
  end
end

-- Checking -------------------------------------------------------------------------------------------------------------

local told = {} -- how many came of what

local function count(expected, found)
  if found ~= expected then error(("'%s' where '%s' was to come"):format(found, expected)) end
  told[found] = (told[found] or 0) + 1
end

local function submit(session, number, expected)
  local case = rare[number % 1000] or in_round[number * 37 % 100 + 1] -- 37: the cases mixed
  local id, failure = session:submit("supertone", case.options)
  if not id then return count(case[3], failure.kind) end
  assert(not expected[id], "an id is given twice")
  expected[id] = case[3]
  if case[3] == "cancelled" then session:cancel(id) end
end

local function drain(session, expected, until_pending)
  while session:pending() > until_pending do
    assert(session:wait(PATIENCE), "a check does not come back")
    for id, balance, failure in session.next, session do
      count(expected[id] or "nothing", balance and "answered" or failure.kind)
      expected[id] = nil
    end
  end
end

-- A session that lives for ten checks, of which half are pending when it is closed or left to the garbage collector.
local function churn(number)
  local session, expected = assert(voicecredits.session()), {}
  for i = 1, 10 do submit(session, number + i, expected) end
  session:wait(PATIENCE)
  if number / CHURN % 2 == 0 then session:close() end
end

-- Taking stock ---------------------------------------------------------------------------------------------------------

local function show(number, stock, rate)
  print(("%9d checks  resident %6d KiB  peak %6d  descriptors %3d  threads %2d  %6d a second"):format(
    number, stock.resident, stock.peak, stock.descriptors, stock.threads, rate))
end

local function at_most(limit, name, first, stock)
  assert(stock[name] <= limit, ("%s %.0f, then %.0f"):format(name, first[name], stock[name]))
end

local function hold(first, stock)
  at_most(first.resident * 1.02 + MORE_RESIDENT, "resident", first, stock)
  at_most(first.descriptors + MORE_DESCRIPTORS, "descriptors", first, stock)
  at_most(first.threads, "threads", first, stock)
end

local function hold_closed(before, after)
  print(("before the session and after it was closed: %d, %d descriptors, %d, %d threads, %.0f, %.0f KiB from malloc"):format(
    before.descriptors, after.descriptors, before.threads, after.threads, before.allocated, after.allocated))
  at_most(before.descriptors, "descriptors", before, after)
  at_most(before.threads, "threads", before, after)
  at_most(before.allocated + MORE_ALLOCATED, "allocated", before, after)
end

local function run()
  churn(0)
  churn(CHURN)
  local before = usage.now()
  local session, expected, first = assert(voicecredits.session { max_in_flight = 64, max_per_host = 8 }), {}, nil
  local begun = cqueues.monotime()
  for number = 1, COUNT do
    submit(session, number, expected)
    if session:pending() >= WINDOW then drain(session, expected, WINDOW / 2) end
    if number % CHURN == 0 then churn(number) end
    if number % STOCK == 0 or number == COUNT then
      process.alarm(2 * PATIENCE)
      drain(session, expected, 0)
      assert(next(expected) == nil, "a check is lost")
      local stock = usage.now()
      show(number, stock, math.floor(STOCK / (cqueues.monotime() - begun)))
      first = first or stock
      hold(first, stock)
      server:clear()
      begun = cqueues.monotime()
    end
  end
  session:close()
  hold_closed(before, usage.now())
  for kind, number in pairs(told) do print(("  %-16s %d"):format(kind, number)) end
end

local ok, problem = xpcall(run, debug.traceback)
process.alarm(0)
hosts:stop()
server:stop()
os.execute("rm -rf " .. files.quote(home))
if not ok then
  io.stderr:write(tostring(problem), "\n")
  os.exit(1)
end
