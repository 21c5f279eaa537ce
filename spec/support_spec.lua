package.path = "./?.lua;./?/init.lua;" .. package.path

local cqueues = require "cqueues"
local cs = require "cqueues.socket"
local errno = require "cqueues.errno"
local openssl_context = require "openssl.ssl.context"
local openssl_store = require "openssl.x509.store"
local openssl_verify = require "openssl.x509.verify_param"
local support = require "spec.support.server"

local PATIENCE = 5

local function connect(port)
  local socket = cs.connect { host = "127.0.0.1", port = port }
  socket:onerror(function(_, _, why) return why end)
  socket:settimeout(PATIENCE)
  socket:setmode("b", "bn")
  return socket
end

local function send_get(socket, path)
  return socket:xwrite(("GET %s HTTP/1.1\r\nHost: here\r\n\r\n"):format(path), "bn")
end

describe("the raw server", function()
  local server

  setup(function() server = support.raw_server() end)
  before_each(function() server:clear() end)
  teardown(function()
    local errors = server:errors()
    server:stop()
    assert.equal("", errors)
  end)

  -- Everything that comes until the connection ends.
  local function ask(behaviour)
    local socket = connect(server.port)
    send_get(socket, "/" .. behaviour .. "/v1/balance")
    local answer = socket:xread("*a") or ""
    socket:close()
    return answer
  end

  it("sends the bytes it was given, whatever they are", function()
    local bytes = "HTTP/9.9 \0\255 not quite\n\n\r\n" .. ("x"):rep(100000)
    server:set("odd", bytes, { close = true })
    assert.equal(bytes, ask("odd"))
    server:set("odd", "", { close = true })
    assert.equal("", ask("odd"))
  end)

  it("keeps a connection for the next request unless told to close it", function()
    local bytes = support.response(200, "{}", { ["Content-Type"] = "application/json" })
    server:set("kept", bytes)
    local socket = connect(server.port)
    for _ = 1, 3 do
      send_get(socket, "/kept/v1/balance")
      assert.equal(bytes, socket:xread(#bytes))
    end
    socket:close()
    local log = server:log()
    assert.equal(3, #log)
    assert.equal(log[1].connection, log[3].connection)
    assert.equal(1, server:count().connections)
  end)

  it("logs every request's head, and forgets it", function()
    ask("close-early")
    local entry = server:log()[1]
    assert.equal("close-early", entry.behaviour)
    assert.equal("GET /close-early/v1/balance HTTP/1.1\r\nHost: here\r\n\r\n", entry.request)
    server:clear()
    assert.same({}, server:log())
  end)

  it("waits, drips and repeats", function()
    local started = cqueues.monotime()
    server:set("late", "late", { delay = 0.2, close = true })
    assert.equal("late", ask("late"))
    assert.is_true(cqueues.monotime() - started >= 0.2)
    started = cqueues.monotime()
    server:set("drop", "0123456789", { drip = 50, close = true })
    assert.equal("0123456789", ask("drop"))
    assert.is_true(cqueues.monotime() - started >= 0.18)
    server:set("huge", "HTTP/1.1 200 OK\r\n\r\n0123456789", { ["repeat"] = 123457, close = true })
    assert.equal("HTTP/1.1 200 OK\r\n\r\n" .. ("0123456789"):rep(123457), ask("huge"))
  end)

  it("resets, with the bytes sent first", function()
    server:set("torn", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", { reset = true })
    local socket = connect(tonumber(server:url("torn"):match(":(%d+)/")))
    send_get(socket, "/torn/v1/balance")
    assert.equal("HTTP/1.1 200 OK\r\n", (socket:xread("*L")))
    socket:close()
    server:set("torn", "", { reset = true })
    socket = connect(tonumber(server:url("torn"):match(":(%d+)/")))
    send_get(socket, "/torn/v1/balance")
    local _, why = socket:xread(1)
    assert.equal(errno.ECONNRESET, why)
    socket:close()
    assert.equal(2, #server:log())
  end)

  it("closes early without a word, or never answers", function()
    assert.equal("", ask("close-early"))
    local socket = connect(server.port)
    send_get(socket, "/hang/v1/balance")
    socket:settimeout(0.2)
    local _, why = socket:xread(1)
    assert.equal(errno.ETIMEDOUT, why)
    assert.equal(1, server:count().in_progress)
    socket:close()
  end)

  it("redirects with the status that is asked for", function()
    local socket = connect(server.port)
    send_get(socket, "/redirect:307/v1/balance")
    assert.matches("^HTTP/1.1 307 ", (socket:xread("*L")))
    socket:close()
  end)

  it("on a port of its own speaks first, and reads nothing", function()
    server:set_all { { name = "banner", raw = "SSH-2.0\r\n", options = { blunt = 1, close = 1 } }, { name = "other", raw = "\0\255" } }
    local socket = connect(tonumber(server:url("banner"):match(":(%d+)/")))
    assert.equal("SSH-2.0\r\n", socket:xread("*a"))
    socket:close()
    server:set("other", "\0\255", { close = true })
    assert.equal("\0\255", ask("other"))
  end)

  it("gives the same over TLS, and lets a handshake stop where it is told", function()
    local tls = support.raw_server { tls = true }
    tls:set("good", support.response(200, "{}"), { close = true })
    tls:set("cut", "", { cut = 10, close = true })
    local function port_of(url) return tonumber(url:match(":(%d+)/")) end
    local socket = connect(port_of(tls:tls_url "good"))
    assert(socket:starttls(openssl_context.new("TLS", false), PATIENCE))
    send_get(socket, "/good/v1/balance")
    assert.equal("HTTP/1.1 200 Test\r\n", (socket:xread("*L")))
    socket:close()
    socket = connect(port_of(tls:tls_url "cut"))
    assert.is_falsy(socket:starttls(openssl_context.new("TLS", false), PATIENCE))
    socket:close()
    for _, kind in ipairs { "good", "expired", "not-yet-valid", "wrong-name", "self-signed", "weak-key", "tls-1.1" } do
      assert.is_number(tls.tls_ports[kind], kind)
    end
    tls:stop()
    assert.is_nil(io.open(tls.ca_file))
  end)

  it("counts how many requests were in progress at once", function()
    server:set("together", support.response(200, "{}"), { delay = 0.2, close = true })
    local loop = cqueues.new()
    for _ = 1, 7 do loop:wrap(function() ask("together") end) end
    assert(loop:loop())
    local count = server:count()
    assert.equal(7, count.peak)
    assert.equal(7, count.connections)
  end)

  it("refuses options it does not know", function()
    assert.has_error(function() server:set("any", "", { dealy = 1 }) end)
  end)

  it("ends with the pipe that its parent holds", function()
    local other = support.raw_server()
    other.pid = nil -- no signal: only the end of its standard input is left to tell it
    other:stop()
    local socket = connect(other.port)
    assert.is_nil((socket:connect(PATIENCE)))
    socket:close()
  end)
end)

describe("the https server", function()
  -- The answer's body, or nil and why the certificate was refused.
  local function ask(server, name)
    local context = openssl_context.new("TLS", false)
    local store = openssl_store.new()
    store:add(server.ca_file)
    context:setStore(store)
    context:setVerify(openssl_context.VERIFY_PEER)
    local parameters = openssl_verify.new()
    if name:find("^%d") then parameters:setIP(name) else parameters:setHost(name) end
    context:setParam(parameters)
    local socket = connect(server.port)
    local ok, why = socket:starttls(context, PATIENCE)
    if not ok then
      socket:close()
      return nil, why
    end
    send_get(socket, "/v1/balance")
    local length
    repeat
      local line = socket:xread("*L")
      length = line:match("^Content%-Length: (%d+)") or length
    until line == "\r\n"
    local body = socket:xread(tonumber(length))
    socket:close()
    return body
  end

  it("is trusted by those who have its CA, by address and by name", function()
    local server = support.tls_server { body = '{"balance":123}' }
    finally(function() server:stop() end)
    assert.equal('{"balance":123}', ask(server, "127.0.0.1"))
    assert.equal('{"balance":123}', ask(server, "localhost"))
    assert.equal(2, #server:log())
    assert.is_nil((ask(server, "elsewhere.example")))
    assert.equal("", server:errors())
  end)

  for _, certificate in ipairs { "expired", "wrong-name", "self-signed" } do
    it("is refused with a certificate that is " .. certificate, function()
      local server = support.tls_server { certificate = certificate }
      finally(function() server:stop() end)
      assert.is_nil((ask(server, "127.0.0.1")))
      assert.same({}, server:log())
    end)
  end

  it("takes its certificates with it", function()
    local server = support.tls_server()
    server:stop()
    server:stop()
    assert.is_nil(io.open(server.ca_file))
  end)
end)
