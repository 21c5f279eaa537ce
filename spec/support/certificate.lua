--- A certificate that is its own authority, for the loopback addresses: for the servers that are not of this house.

local bignum = require "openssl.bignum"
local files = require "spec.support.files"
local pkey = require "openssl.pkey"
local x509 = require "openssl.x509"
local x509_altname = require "openssl.x509.altname"
local x509_name = require "openssl.x509.name"

local certificate = {}

local DAY = 86400

--- Writes FOLDER/certificate.pem and FOLDER/key.pem.
---@param folder string
---@param addresses? string[] 127.0.0.1 alone when nil
function certificate.write(folder, addresses)
  local key, made = pkey.new { type = "EC", curve = "prime256v1" }, x509.new()
  local subject, names = x509_name.new(), x509_altname.new()
  subject:add("CN", "voicecredits test")
  for _, address in ipairs(addresses or { "127.0.0.1" }) do names:add("IP", address) end
  made:setVersion(3)
  made:setSerial(bignum.new(os.time()))
  made:setSubject(subject)
  made:setIssuer(subject)
  made:setLifetime(os.time() - DAY, os.time() + DAY)
  made:setPublicKey(key)
  made:setSubjectAlt(names)
  made:setBasicConstraints { CA = true }
  made:setBasicConstraintsCritical(true)
  made:sign(key)
  files.write(folder .. "/certificate.pem", made:toPEM())
  files.write(folder .. "/key.pem", key:toPEM "private")
end

return certificate
