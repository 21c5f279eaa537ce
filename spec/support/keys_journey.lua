--- A key's way through the module, in a process of its own: each kind of check and each way in which one can end. Run by
-- keys_spec.lua on a build of the module that watches the memory it gives back. What came of it is printed.
--
-- KEY and PASSWORD are looked for; RAW, TLS, CA_FILE, EXPIRED, PROXY and REFUSING say where to ask.

local voicecredits = require "voicecredits"

local env = setmetatable({}, { __index = function(_, name) return assert(os.getenv(name), name) end })
local key = env.KEY
local through = "http://somebody:" .. env.PASSWORD .. "@"

local function options(behaviour, more)
  local all = { api_key = key, base_url = env.RAW .. behaviour, retries = 0, timeout = 5 }
  for name, value in pairs(more or {}) do all[name] = value end
  return all
end

local function show(name, balance, failure) print(name, balance or failure) end

for _, provider in ipairs(voicecredits.providers()) do
  show("refused", voicecredits[provider.name](options "refused"))
  show("request", voicecredits.request(provider.name, options "good").method)
end

show("good", voicecredits.supertone(options "good"))
show("plain text", voicecredits.supertone(options "plain"))
show("repeated", voicecredits.fish(options "repeated"))
show("large", voicecredits.supertone(options "large"))
show("endless", voicecredits.supertone(options "endless"))
show("again", voicecredits.supertone(options("down", { retries = 1 })))
show("too low", voicecredits.ensure("supertone", 1e9, options "good"))
show("timeout", voicecredits.supertone(options("hang", { timeout = 0.1 })))
show("closed", voicecredits.supertone(options "close-early"))
show("no server", voicecredits.supertone(options("", { base_url = "http://127.0.0.1:1" })))
show("no URL", voicecredits.supertone(options("", { base_url = "https://" })))
show("no HTTP", voicecredits.supertone(options "odd"))
show("control character", voicecredits.supertone(options("good", { api_key = key .. "\n" })))

local tls = { base_url = env.TLS, ca_file = env.CA_FILE }
show("tls", voicecredits.supertone(options("", tls)))
show("expired", voicecredits.supertone(options("", { base_url = env.EXPIRED, ca_file = env.CA_FILE })))
for _, proxy in ipairs { through .. env.PROXY, through .. env.REFUSING, through .. "no host:1", "pigeon://x:" .. env.PASSWORD .. "@y" } do
  tls.proxy = proxy
  show("proxy", voicecredits.supertone(options("", tls)))
end

local session = assert(voicecredits.session { max_per_host = 1 })
local flying, standing = session:submit("supertone", options "hang"), session:submit("supertone", options "hang")
session:wait(0.05)
session:cancel(standing)
session:cancel(flying)
for _ = 1, 2 do show("cancelled", session:take(flying, math.huge)) flying = standing end
session:submit("supertone", options "good")
session:wait()
session:submit("supertone", options "hang")
session:wait(0.05)
session:close()
show("closed", select(2, session:next()))
do
  local forgotten = voicecredits.session()
  forgotten:submit("supertone", options "hang")
  forgotten:wait(0.05)
end
collectgarbage()
collectgarbage()

show("callback", nil, select(2, pcall(voicecredits.supertone, options("hang", { wait = function() error "crash" end }))))
collectgarbage()
collectgarbage()

voicecredits.session():submit("supertone", options "hang") -- and the end of the process finds it under way
os.exit(0, true)
