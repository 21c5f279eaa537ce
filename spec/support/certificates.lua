--- Certificates made on the spot for the test servers: an authority, and what it or somebody else vouches for.

local bignum = require "openssl.bignum"
local context = require "openssl.ssl.context"
local pkey = require "openssl.pkey"
local rand = require "openssl.rand"
local x509 = require "openssl.x509"
local x509_altname = require "openssl.x509.altname"
local x509_name = require "openssl.x509.name"

local certificates = {}

local DAY = 86400

--- What a server may show: each is wrong in one way only, apart from "good". "tls-1.1" is a good certificate of a server that
-- speaks nothing newer than that.
certificates.kinds = { "good", "expired", "not-yet-valid", "wrong-name", "self-signed", "weak-key", "tls-1.1" }

local lifetimes = { ["expired"] = { -2 * DAY, -DAY }, ["not-yet-valid"] = { DAY, 2 * DAY } }

-- Every library's lowest level accepts 1024 bits, and none 768.
local function new_key(kind)
  if kind == "weak-key" then return pkey.new { type = "RSA", bits = 768 } end
  return pkey.new { type = "EC", curve = "prime256v1" }
end

local function new_certificate(common_name, key, kind)
  local certificate = x509.new()
  local subject = x509_name.new()
  local lifetime = lifetimes[kind] or { -DAY, DAY }
  subject:add("CN", common_name)
  certificate:setVersion(3)
  certificate:setSerial(bignum.fromBinary(rand.bytes(15)))
  certificate:setSubject(subject)
  certificate:setIssuer(subject)
  certificate:setLifetime(os.time() + lifetime[1], os.time() + lifetime[2])
  certificate:setPublicKey(key)
  return certificate
end

--- A new authority: { certificate, key }.
function certificates.authority()
  local key = new_key()
  local certificate = new_certificate("voicecredits test CA", key)
  certificate:setBasicConstraints { CA = true }
  certificate:setBasicConstraintsCritical(true)
  certificate:sign(key)
  return { certificate = certificate, key = key }
end

local function new_server_certificate(authority, kind)
  local key = new_key(kind)
  local certificate = new_certificate("voicecredits test server", key, kind)
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
    certificate:setIssuer(authority.certificate:getSubject())
    certificate:sign(authority.key)
  end
  return certificate, key
end

--- Writes FOLDER/certificate.pem and FOLDER/key.pem for a server that is not of this house: its own authority.
---@param folder string
---@param addresses? string[] 127.0.0.1 alone when nil
function certificates.write_own(folder, addresses)
  local key = new_key()
  local certificate, names = new_certificate("voicecredits test", key), x509_altname.new()
  for _, address in ipairs(addresses or { "127.0.0.1" }) do names:add("IP", address) end
  certificate:setSubjectAlt(names)
  certificate:setBasicConstraints { CA = true }
  certificate:setBasicConstraintsCritical(true)
  certificate:sign(key)
  for name, text in pairs { certificate = certificate:toPEM(), key = key:toPEM "private" } do
    local file = assert(io.open(("%s/%s.pem"):format(folder, name), "wb"))
    file:write(text)
    file:close()
  end
end

--- An authority, and a good certificate of its.
---@return { authority: userdata, certificate: userdata, key: userdata }
function certificates.make()
  local authority = certificates.authority()
  local certificate, key = new_server_certificate(authority, "good")
  return { authority = authority.certificate, certificate = certificate, key = key }
end

--- The TLS context of a server of that kind.
function certificates.context(authority, kind)
  local certificate, key = new_server_certificate(authority, kind)
  local server_context = context.new("TLS", true)
  local old = kind == "tls-1.1"
  if old then server_context:setOptions(context.OP_NO_TLSv1_2 + context.OP_NO_TLSv1_3) end
  if old or kind == "weak-key" then server_context:setCipherList("DEFAULT:@SECLEVEL=0") end
  server_context:setCertificate(certificate)
  server_context:setPrivateKey(key)
  return server_context
end

--- Writes the authority's certificate to a file.
function certificates.write(authority, path)
  local file = assert(io.open(path, "wb"))
  file:write(authority.certificate:toPEM())
  file:close()
end

return certificates
