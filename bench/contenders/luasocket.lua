-- LuaSocket's http and LuaSec's https, as their manuals show them: one request after the other, a connection for each
-- (Debian's copas, 1.2, knows no TLS).
--
--   luasocket.lua many COUNT

local cjson = require "cjson"
local http = require "socket.http"
local https = require "ssl.https"
local ltn12 = require "ltn12"

http.TIMEOUT, https.TIMEOUT = 10, 10

local function read_accounts()
  local accounts = {}
  for line in io.lines(os.getenv "BENCH_ACCOUNTS") do
    local url, agent, name, key = line:match "^%S+\t%S+\t(%S+)\t([^\t]+)\t([^\t]-): ([^\t]+)$"
    accounts[#accounts + 1] = {
      url = url, client = url:find "^https" and https or http,
      headers = { ["User-Agent"] = agent, Accept = "application/json", [name] = key },
    }
  end
  return accounts
end

local function check(account)
  local parts = {}
  local ok, status = account.client.request {
    url = account.url, headers = account.headers, sink = ltn12.sink.table(parts),
    verify = "peer", capath = os.getenv "SSL_CERT_DIR", -- LuaSec verifies nothing unless it is told to
  }
  assert(ok and status == 200, status)
  return cjson.decode(table.concat(parts))
end

local count = tonumber(arg[2])
local accounts, answers = read_accounts(), {}
for i = 1, count do answers[i] = check(accounts[(i - 1) % #accounts + 1]) end
print(("ANSWERED %d"):format(#answers))
