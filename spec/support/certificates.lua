--- Certificates made on the spot.

local bignum = require "openssl.bignum"
local pkey = require "openssl.pkey"
local rand = require "openssl.rand"
local x509 = require "openssl.x509"
local x509_altname = require "openssl.x509.altname"
local x509_name = require "openssl.x509.name"

local certificates = {}

local DAY = 86400

local function begin(common_name)
  local key = pkey.new { type = "EC", curve = "prime256v1" }
  local certificate, subject = x509.new(), x509_name.new()
  subject:add("CN", common_name)
  certificate:setVersion(3)
  certificate:setSerial(bignum.fromBinary(rand.bytes(15)))
  certificate:setSubject(subject)
  certificate:setIssuer(subject)
  certificate:setLifetime(os.time() - DAY, os.time() + DAY)
  certificate:setPublicKey(key)
  return certificate, key
end

--- An authority, and a certificate of its for 127.0.0.1 and localhost.
---@return { authority: userdata, certificate: userdata, key: userdata }
function certificates.make()
  local authority, authority_key = begin "voicecredits test CA"
  authority:setBasicConstraints { CA = true }
  authority:setBasicConstraintsCritical(true)
  authority:sign(authority_key)
  local certificate, key = begin "voicecredits test server"
  local names = x509_altname.new()
  names:add("IP", "127.0.0.1")
  names:add("DNS", "localhost")
  certificate:setSubjectAlt(names)
  certificate:setBasicConstraints { CA = false }
  certificate:setIssuer(authority:getSubject())
  certificate:sign(authority_key)
  return { authority = authority, certificate = certificate, key = key }
end

return certificates
