--- An https server that speaks HTTP/2 and answers each key with a balance of its own: `key_server.lua FOLDER VERSION`. See
--- server.lua.
--
-- FOLDER/ca.pem is what it writes before it listens; FOLDER/requests gets a line for each request: version, number of the
-- connection, key. The balance is the number at the key's end. VERSION is "2", or "1.1" for a server that knows no other.

local folder = arg[0]:match("^(.*/)") or "./"
package.path = folder .. "?.lua;" .. folder .. "../../lua/?.lua;" .. package.path
require "voicecredits.sandbox" -- finds lua-http where Debian has it

local certificates = require "certificates"
local context = require "openssl.ssl.context"
local cqueues = require "cqueues"
local http_headers = require "http.headers"
local http_server = require "http.server"
local lifeline = require "lifeline"

local home, version = arg[1], arg[2]
local TIME_TO_MEET = 0.05 -- seconds: so that requests are under way together

local made = certificates.make()
local file = assert(io.open(home .. "/ca.pem", "wb"))
file:write(made.authority:toPEM())
file:close()
local requests = assert(io.open(home .. "/requests", "ab"))

local server_context = context.new("TLS", true)
server_context:setCertificate(made.certificate)
server_context:setPrivateKey(made.key)
server_context:setAlpnSelect(function(_, offered)
  for _, protocol in ipairs(offered) do
    if protocol == (version == "2" and "h2" or "http/1.1") then return protocol end
  end
end)

local numbers, count = setmetatable({}, { __mode = "k" }), 0

local function number_of(connection)
  if not numbers[connection] then
    count = count + 1
    numbers[connection] = count
  end
  return numbers[connection]
end

local function serve(_, stream)
  local head = stream:get_headers(10)
  if not head then return end
  local key = head:get "x-sup-api-key" or "none"
  requests:write(("%s %d %s\n"):format(stream.connection.version, number_of(stream.connection), key))
  requests:flush()
  cqueues.sleep(TIME_TO_MEET)
  local body = ('{"balance":%s}'):format(key:match "%d+$" or "null")
  local answer = http_headers.new()
  answer:append(":status", "200")
  answer:append("content-type", "application/json")
  answer:append("content-length", tostring(#body))
  stream:write_headers(answer, false, 10)
  stream:write_chunk(body, true, 10)
end

local loop = cqueues.new()
local server = assert(http_server.listen {
  cq = loop, host = "127.0.0.1", port = 0, tls = true, ctx = server_context, onstream = serve, onerror = function() end,
})
assert(server:listen())
lifeline.serve(select(3, server:localname()), loop)
