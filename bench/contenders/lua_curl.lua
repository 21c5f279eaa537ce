-- Debian's lua-curl, on Lua 5.1: libcurl's easy handles only, so one request after the other; one handle, and with it a
-- connection, for each host.
--
--   lua_curl.lua many COUNT

local cjson = require "cjson"
local curl = require "curl"

local function read_accounts()
  local accounts = {}
  for line in io.lines(os.getenv "BENCH_ACCOUNTS") do
    local url, agent, header = line:match "^%S+\t%S+\t(%S+)\t([^\t]+)\t([^\t]+)$"
    local account, parts = {}, {}
    local easy = curl.easy_init()
    easy:setopt(curl.OPT_URL, url)
    easy:setopt(curl.OPT_USERAGENT, agent)
    easy:setopt(curl.OPT_HTTPHEADER, { "Accept: application/json", header })
    easy:setopt(curl.OPT_TIMEOUT, 10)
    easy:setopt(curl.OPT_FAILONERROR, 1) -- it has no getinfo to ask for the status
    -- As Debian's libcurl is built: a file and a directory.
    easy:setopt(curl.OPT_CAINFO, os.getenv "BENCH_CA_FILE")
    easy:setopt(curl.OPT_CAPATH, os.getenv "SSL_CERT_DIR")
    easy:setopt(curl.OPT_WRITEFUNCTION, function(data)
      parts[#parts + 1] = data
      return #data
    end)
    account.easy, account.parts = easy, parts
    accounts[#accounts + 1] = account
  end
  return accounts
end

local function check(account)
  local parts = account.parts
  for i = #parts, 1, -1 do parts[i] = nil end
  assert(account.easy:perform())
  return cjson.decode(table.concat(parts))
end

local count = tonumber(arg[2])
local accounts, answers = read_accounts(), {}
for i = 1, count do answers[i] = check(accounts[(i - 1) % #accounts + 1]) end
print(("ANSWERED %d"):format(#answers))
