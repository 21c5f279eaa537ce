-- https with certificates made on the spot: who is trusted, who is not, and that the key waits for the certificate.

local voicecredits = require "voicecredits"
local support = require "spec.support.server"

local function with_server(options, test)
  options.body = '{"balance":7}'
  local server = support.tls_server(options)
  local ok, problem = pcall(test, server)
  server:stop()
  if not ok then error(problem, 0) end
end

local function check(server, options)
  options.api_key, options.retries = "marked-key", 0
  options.base_url = options.base_url or server.url
  return voicecredits.supertone(options)
end

local function refused(server, options)
  local balance, failure = check(server, options or { ca_file = server.ca_file })
  assert.is_nil(balance)
  assert.equal("tls", failure.kind, tostring(failure))
  assert.is_false(failure.retryable)
  assert.same({}, server:log())
end

describe("https", function()
  it("is trusted through ca_file", function()
    with_server({}, function(server)
      assert.equal(7, assert(check(server, { ca_file = server.ca_file })).remaining)
      assert.equal(7, assert(check(server, { ca_file = server.ca_file, base_url = server.localhost_url })).remaining)
      assert.truthy(server:log()[1]:find("marked-key", 1, true))
    end)
  end)

  it("takes each check's own authority and proxy, whatever the check before it had", function()
    with_server({}, function(server)
      local session = assert(voicecredits.session { max_in_flight = 1 }) -- one place, so one handle
      local function ask(options)
        options.session = session
        local balance, failure = check(server, options)
        return balance and balance.remaining or failure.kind
      end
      local trusted, closed_port = { ca_file = server.ca_file }, "http://127.0.0.1:1"
      assert.equal(7, ask(trusted))
      assert.equal("tls", ask {})
      assert.equal(7, ask(trusted))
      assert.equal("network", ask { ca_file = server.ca_file, proxy = closed_port })
      assert.equal(7, ask(trusted))
      session:close()
      assert.equal(3, #server:log())
    end)
  end)

  it("is trusted through SSL_CERT_FILE", function()
    with_server({}, function(server)
      local pipe = assert(io.popen(([[SSL_CERT_FILE='%s' %s -e 'print((require "voicecredits".supertone {
        api_key = "k", base_url = "%s", retries = 0 }))']]):format(server.ca_file, os.getenv "LUA" or "lua5.4", server.url)))
      assert.equal("supertone/default: 7 credits\n", pipe:read "*a")
      pipe:close()
    end)
  end)

  it("is not trusted by an authority that nobody knows, and the key is not sent", function()
    with_server({}, function(server) refused(server, {}) end)
  end)

  for _, certificate in ipairs { "expired", "wrong-name", "self-signed" } do
    it("is not trusted with a certificate that is " .. certificate, function()
      with_server({ certificate = certificate }, refused)
    end)
  end

  it("with a certificate file that is not there is a tls failure", function()
    with_server({}, function(server) refused(server, { ca_file = "/nowhere/ca.pem" }) end)
  end)

  it("on a port that speaks no TLS is a tls failure", function()
    local server = support.sandbox()
    local _, failure = voicecredits.supertone { api_key = "k", base_url = "https://127.0.0.1:" .. server.port, retries = 0, timeout = 5 }
    assert.equal("tls", failure.kind)
    server:stop()
  end)
end)
