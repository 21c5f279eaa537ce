-- lua-http on cqueues: IN_FLIGHT coroutines, its connections kept; with HTTP/2 one connection for each host.
--
--   lua_http.lua many COUNT IN_FLIGHT

local cjson = require "cjson"
local client = require "http.client"
local cqueues = require "cqueues"
local condition = require "cqueues.condition"
local request = require "http.request"

local TIMEOUT = 10 -- seconds

local function read_accounts()
  local accounts = {}
  for line in io.lines(os.getenv "BENCH_ACCOUNTS") do
    local url, agent, name, key = line:match "^%S+\t%S+\t(%S+)\t([^\t]+)\t([^\t]-): ([^\t]+)$"
    local one = request.new_from_uri(url)
    one.headers:upsert("user-agent", agent)
    one.headers:append("accept", "application/json")
    one.headers:append(name:lower(), key)
    accounts[#accounts + 1] = {
      host = one.host, port = one.port, tls = one.tls, headers = one.headers, idle = {}, changed = condition.new(),
    }
  end
  return accounts
end

-- A connection that is idle, or the one that carries many streams, or a new one. While the first one over TLS is made
-- the others wait for it to tell its version.
local function take_connection(account)
  while account.tls and account.connecting do account.changed:wait() end
  if account.shared then return account.shared end
  local idle = table.remove(account.idle)
  if idle then return idle end
  account.connecting = true
  local connection = assert(client.connect({ host = account.host, port = account.port, tls = account.tls }, TIMEOUT))
  if connection.version == 2 then account.shared = connection end
  account.connecting = false
  account.changed:signal()
  return connection
end

local function check(account)
  local connection = take_connection(account)
  local stream = assert(connection:new_stream())
  assert(stream:write_headers(account.headers, true, TIMEOUT))
  local headers = assert(stream:get_headers(TIMEOUT))
  assert(headers:get ":status" == "200")
  local body = assert(stream:get_body_as_string(TIMEOUT))
  if not account.shared then table.insert(account.idle, connection) end
  return cjson.decode(body)
end

local count, in_flight = tonumber(arg[2]), tonumber(arg[3])
local accounts, answers, started = read_accounts(), {}, 0

local function work()
  while started < count do
    started = started + 1
    local i = started
    answers[i] = check(accounts[(i - 1) % #accounts + 1])
  end
end

local loop = cqueues.new()
for _ = 1, in_flight do loop:wrap(work) end
assert(loop:loop())
print(("ANSWERED %d"):format(#answers))
os.exit(0, false)
