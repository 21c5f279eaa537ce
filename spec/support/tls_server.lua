--- An https server with certificates made on the spot: `tls_server.lua FOLDER CERTIFICATE STATUS`. See server.lua.
--
-- FOLDER/body is what it answers to every request, FOLDER/ca.pem is what it writes before it listens, and the heads of
-- the requests that came through go to FOLDER/requests. CERTIFICATE is good, expired, wrong-name or self-signed.

local folder = arg[0]:match("^(.*/)") or "./"
package.path = folder .. "?.lua;" .. package.path

local bignum = require "openssl.bignum"
local context = require "openssl.ssl.context"
local cqueues = require "cqueues"
local cs = require "cqueues.socket"
local lifeline = require "lifeline"
local pkey = require "openssl.pkey"
local rand = require "openssl.rand"
local x509 = require "openssl.x509"
local x509_altname = require "openssl.x509.altname"
local x509_name = require "openssl.x509.name"

local home, kind, status = arg[1], arg[2], tonumber(arg[3])
local DAY = 86400

-- Certificates -------------------------------------------------------------------------------------------------------

local function new_key() return pkey.new { type = "EC", curve = "prime256v1" } end

local function new_certificate(common_name, key, lifetime)
  local certificate = x509.new()
  local subject = x509_name.new()
  subject:add("CN", common_name)
  certificate:setVersion(3)
  certificate:setSerial(bignum.fromBinary(rand.bytes(15)))
  certificate:setSubject(subject)
  certificate:setIssuer(subject)
  certificate:setLifetime(lifetime[1], lifetime[2])
  certificate:setPublicKey(key)
  return certificate
end

local function new_authority()
  local key = new_key()
  local certificate = new_certificate("voicecredits test CA", key, { os.time() - DAY, os.time() + DAY })
  certificate:setBasicConstraints { CA = true }
  certificate:setBasicConstraintsCritical(true)
  certificate:sign(key)
  return certificate, key
end

local function new_server_certificate(authority, authority_key)
  local key = new_key()
  local ends = kind == "expired" and os.time() - DAY or os.time() + DAY
  local certificate = new_certificate("voicecredits test server", key, { os.time() - 2 * DAY, ends })
  local names = x509_altname.new()
  if kind == "wrong-name" then
    names:add("DNS", "elsewhere.example")
  else
    names:add("IP", "127.0.0.1")
    names:add("DNS", "localhost")
  end
  certificate:setSubjectAlt(names)
  certificate:setBasicConstraints { CA = false }
  if kind == "self-signed" then
    certificate:sign(key)
  else
    certificate:setIssuer(authority:getSubject())
    certificate:sign(authority_key)
  end
  return certificate, key
end

local function new_context()
  local authority, authority_key = new_authority()
  local certificate, key = new_server_certificate(authority, authority_key)
  local file = assert(io.open(home .. "/ca.pem", "wb"))
  file:write(authority:toPEM())
  file:close()
  local server_context = context.new("TLS", true)
  server_context:setCertificate(certificate)
  server_context:setPrivateKey(key)
  return server_context
end

-- Serving ------------------------------------------------------------------------------------------------------------

local body_file = assert(io.open(home .. "/body", "rb"))
local body = body_file:read("*a")
body_file:close()
local response = ("HTTP/1.1 %d Test\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s")
  :format(status, #body, body)
local requests = assert(io.open(home .. "/requests", "ab"))

local function read_head(socket)
  local lines = {}
  repeat
    local line = socket:xread("*L")
    if not line then return nil end
    lines[#lines + 1] = line
  until line == "\r\n"
  return table.concat(lines)
end

local function quiet(_, _, why) return why end

-- A client that does not like the certificate ends the handshake: that is what it is here for.
local function serve(socket, server_context)
  if socket:starttls(server_context, 10) then
    for head in function() return read_head(socket) end do
      requests:write(head)
      requests:flush()
      if not socket:xwrite(response, "bn") then break end
    end
  end
  socket:close()
end

local loop = cqueues.new()
local server_context = new_context()
local listener = assert(cs.listen { host = "127.0.0.1", port = 0 })
assert(listener:listen())
loop:wrap(function()
  while true do
    local socket = listener:accept({ nodelay = true })
    socket:onerror(quiet)
    socket:setmode("b", "b")
    loop:wrap(serve, socket, server_context)
  end
end)
lifeline.serve(select(3, listener:localname()), loop)
