--- Who is measured. A contender is { key, title, there, version, words, does, share, note }: the shell's test for its being
--- installed, the shell's words for its version, the command line of a piece of work, which work it can do (all the
--- kinds when nil), how small a share of it is enough where it is very slow, and what a reader must know.
---
--- A piece of work is { mode, accounts, count, in_flight }; the files of contenders/ say what each mode is.

local files = require "spec.support.files"

local BENCH, LUA = os.getenv "BENCH" or "build/5.4/bench", os.getenv "LUA" or "lua5.4"
local only_many = { many = true }

local function words_of(program)
  return function(work)
    return ("%s %s %d %s"):format(program, work.mode, work.count, work.in_flight or "")
  end
end

-- A handful of accounts is checked as a script of five lines does it: in the module's own session.
local function voicecredits_words(work)
  local session = work.in_flight and work.in_flight < work.count and work.in_flight or ""
  return ("%s bench/contenders/voicecredits.lua %s %d %s"):format(LUA, work.mode, work.count, session)
end

-- The command's transfers, each with options of its own.
local function write_curl_config(work, here)
  local lines = { "parallel", "silent", "fail-early", ("parallel-max = %d"):format(work.in_flight) }
  local transfers = {}
  for line in io.lines(here.accounts[work.accounts]) do
    local url, agent, header = line:match "^%S+\t%S+\t(%S+)\t([^\t]+)\t([^\t]+)$"
    transfers[#transfers + 1] = ([[
url = "%s"
user-agent = "%s"
header = "Accept: application/json"
header = "%s"
max-time = 10
output = "/dev/null"
fail
cacert = "%s"
capath = "%s"]]):format(url, agent, header, here.home .. "/certs.pem", here.home .. "/certs")
  end
  for i = 1, work.count do
    if i > 1 then lines[#lines + 1] = "next" end
    lines[#lines + 1] = transfers[(i - 1) % #transfers + 1]
  end
  local path = ("%s/curl-%s-%d"):format(here.home, work.accounts, work.count)
  files.write(path, table.concat(lines, "\n") .. "\n")
  return path
end

local function curl_words(work, here)
  -- A small file first: -q keeps the user's own configuration out.
  return "curl -q --config " .. write_curl_config(work, here)
end

local function lua_has(lua, modules)
  local parts = {}
  for _, name in ipairs(modules) do parts[#parts + 1] = ('require "%s"'):format(name) end
  return ("%s -e '%s'"):format(lua, table.concat(parts, " "))
end

return {
  {
    key = "bare", title = "bare libcurl", there = "true", version = "curl-config --version",
    words = words_of(BENCH .. "/bare"), note = "C, curl_multi_poll; the bodies are thrown away",
  },
  {
    key = "voicecredits", title = "voicecredits", there = "true", version = LUA .. " -v 2>&1 | cut -c1-9",
    words = voicecredits_words, note = "JSON decoded, balances made",
  },
  {
    key = "curl", title = "curl --parallel", there = "command -v curl", version = "curl --version | cut -d' ' -f1,2",
    words = curl_words, does = only_many, uncounted = true, note = "no JSON is decoded",
  },
  {
    key = "lua_curl", title = "lua-curl", there = lua_has("lua5.1", { "curl", "cjson" }),
    version = "lua5.1 -e 'print(require \"curl\".version())' | cut -d' ' -f1",
    words = words_of "lua5.1 bench/contenders/lua_curl.lua", does = only_many,
    note = "Lua 5.1; easy handles only: one request after the other",
  },
  {
    key = "lua_http", title = "lua-http", there = lua_has("lua5.2", { "http.client", "cjson" }),
    version = "lua5.2 -e 'print(require \"http.version\".version)'",
    words = words_of "lua5.2 bench/contenders/lua_http.lua", does = only_many, note = "Lua 5.2, cqueues, HTTP/2 over TLS",
  },
  {
    key = "luasocket", title = "LuaSocket, LuaSec", there = lua_has("lua5.4", { "socket.http", "ssl.https", "cjson" }),
    version = "lua5.4 -e 'print(require \"socket\"._VERSION, \"LuaSec \" .. require \"ssl\"._VERSION)'",
    words = words_of "lua5.4 bench/contenders/luasocket.lua", does = only_many, share = { https = 0.02 },
    note = "Lua 5.4; one request after the other, a connection for each",
  },
  {
    key = "aiohttp", title = "aiohttp", there = "/usr/bin/python3 -c 'import aiohttp'",
    version = "/usr/bin/python3 -c 'import aiohttp, sys; print(aiohttp.__version__, \"Python\", sys.version.split()[0])'",
    words = words_of "/usr/bin/python3 bench/contenders/aiohttp_client.py", does = only_many, note = "HTTP/1.1 only",
  },
  {
    key = "fetch", title = "Node's fetch", there = "node -e 'process.exit(typeof fetch === \"function\" ? 0 : 1)'",
    version = "node --version", words = words_of "node bench/contenders/fetch.mjs", does = only_many, note = "HTTP/1.1 only",
  },
}
