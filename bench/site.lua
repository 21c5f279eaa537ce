--- What the contenders talk to: nginx on loopback with the documented samples of the five providers, over http and over
--- https with HTTP/2, and a relay that makes the way to it long.
---
--- Each provider is a host of its own, 127.0.0.1 to 127.0.0.5. The certificate is from an authority that is made on the
--- spot and stands between those of the machine, in a directory of hashed names and in one file.

local bignum = require "openssl.bignum"
local files = require "spec.support.files"
local fixtures = require "spec.fixtures"
local nginx = require "spec.support.nginx"
local pkey = require "openssl.pkey"
local voicecredits = require "voicecredits"
local x509 = require "openssl.x509"
local x509_altname = require "openssl.x509.altname"
local x509_extension = require "openssl.x509.extension"
local x509_name = require "openssl.x509.name"

local quote, write_file, lines_of = files.quote, files.write, files.lines_of

local site = {}

local KEY = "sandbox"
local MACHINE_AUTHORITIES = "/usr/share/ca-certificates/mozilla"

local function run(command)
  if not os.execute(command) then error("failed: " .. command, 0) end
end

-- ---- certificates ----

local function named(text)
  local name = x509_name.new()
  name:add("CN", text)
  return name
end

local function certificate_of(key, subject, issuer, serial)
  local certificate = x509.new()
  certificate:setVersion(3)
  certificate:setSerial(bignum.new(serial))
  certificate:setSubject(subject)
  certificate:setIssuer(issuer)
  certificate:setLifetime(os.time() - 86400, os.time() + 86400)
  certificate:setPublicKey(key)
  return certificate
end

local function new_key() return pkey.new { type = "EC", curve = "prime256v1" } end

-- An authority, and a certificate of its for the five hosts.
local function write_certificates(home, hosts)
  local authority_name = named "voicecredits bench authority"
  local authority_key, key = new_key(), new_key()
  local authority = certificate_of(authority_key, authority_name, authority_name, os.time())
  authority:setBasicConstraints { CA = true, pathLen = 0 }
  authority:setBasicConstraintsCritical(true)
  authority:addExtension(x509_extension.new("keyUsage", "critical,keyCertSign,cRLSign"))
  authority:sign(authority_key)

  local certificate = certificate_of(key, named "voicecredits bench", authority_name, os.time() + 1)
  local names = x509_altname.new()
  for _, host in ipairs(hosts) do names:add("IP", host) end
  certificate:setSubjectAlt(names)
  certificate:addExtension(x509_extension.new("extendedKeyUsage", "serverAuth"))
  certificate:sign(authority_key)

  write_file(home .. "/authority.pem", authority:toPEM())
  write_file(home .. "/certificate.pem", certificate:toPEM())
  write_file(home .. "/key.pem", key:toPEM "private")
end

-- The machine's authorities and ours: home/certs (hashed names) and home/certs.pem.
local function write_trust(home)
  run(("mkdir %s/certs"):format(home))
  local found = lines_of(("ls %s/*.crt 2>/dev/null"):format(MACHINE_AUTHORITIES))
  for i, path in ipairs(found) do run(("cp %s %s/certs/%d.pem"):format(quote(path), home, i)) end
  run(("cp %s/authority.pem %s/certs/"):format(home, home))
  run(("cat %s/certs/*.pem >%s/certs.pem"):format(home, home))
  run(("openssl rehash %s/certs"):format(home))
  return #found
end

-- ---- nginx ----

local server_of = [[
  server {
    listen %s:%d backlog=1024;
    listen %s:%d ssl http2 backlog=1024;
    ssl_certificate %s/certificate.pem;
    ssl_certificate_key %s/key.pem;
    default_type application/json;
    location = %s {
      if ($%s != "%s") { return 401; }
      return 200 '%s';
    }
  }
]]

-- nginx's variable of a request header.
local function variable_of(header) return "http_" .. header:lower():gsub("-", "_") end

local function http_block(self)
  local parts = { [[
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_tickets off;
]] }
  for i, provider in ipairs(voicecredits.providers()) do
    local one = self.providers[i]
    local request = voicecredits.request(provider.name, { api_key = KEY, base_url = "http://127.0.0.1" })
    parts[#parts + 1] = server_of:format(one.host, self.http_port, one.host, self.https_port, self.home, self.home,
      request.url:match "^http://[^/]+(/[^?]*)", variable_of(provider.auth_header), request.headers[provider.auth_header],
      (fixtures.load(fixtures.find(provider.name, "sample")):gsub("%s+$", "")))
  end
  return table.concat(parts)
end

-- ---- what the contenders are told ----

-- A line for each provider: name, base URL, URL, User-Agent, header of the key; tabs between them.
local function write_accounts(self, name, scheme, port)
  local lines = {}
  for i, provider in ipairs(voicecredits.providers()) do
    local base_url = ("%s://%s:%d"):format(scheme, self.providers[i].host, port)
    local request = voicecredits.request(provider.name, { api_key = KEY, base_url = base_url })
    lines[i] = table.concat({ provider.name, base_url, request.url, request.headers["User-Agent"],
      ("%s: %s"):format(provider.auth_header, request.headers[provider.auth_header]) }, "\t")
  end
  local path = ("%s/accounts-%s"):format(self.home, name)
  write_file(path, table.concat(lines, "\n") .. "\n")
  self.accounts[name] = path
end

local function start_relay(self, relay)
  self.relay_port = nginx.free_port()
  local hosts = {}
  for i, one in ipairs(self.providers) do hosts[i] = one.host end
  self.relay = assert(io.popen(("%s %d %d 50 %s"):format(relay, self.relay_port, self.https_port,
    table.concat(hosts, " ")), "w"))
end

local Site = {}
Site.__index = Site

--- Starts it all.
---@param options { relay: string? } path of the relay's program; without it there is none
function site.start(options)
  local self = setmetatable({ home = lines_of("mktemp -d")[1], providers = {}, accounts = {} }, Site)
  local hosts = {}
  for i in ipairs(voicecredits.providers()) do
    hosts[i] = "127.0.0." .. i
    self.providers[i] = { host = hosts[i] }
  end
  self.http_port, self.https_port = nginx.free_port(), nginx.free_port()
  write_certificates(self.home, hosts)
  self.authorities = write_trust(self.home) + 1
  self.nginx = nginx.start { workers = 1, connections = 4096, http = http_block(self) }
  write_accounts(self, "http", "http", self.http_port)
  write_accounts(self, "https", "https", self.https_port)
  if options.relay then
    start_relay(self, options.relay)
    write_accounts(self, "relay", "https", self.relay_port)
  end
  return self
end

function Site:stop()
  if self.relay then self.relay:close() end
  self.nginx:stop()
  run("rm -rf " .. quote(self.home))
end

return site
