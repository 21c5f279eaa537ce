-- API keys: what comes out of anywhere never holds one, our own copies are overwritten, and a key goes nowhere but to the
-- host of its base URL. Each test looks for a key that no other run has, or a part of it, in everything there is.

local cjson = require "cjson"
local command = require "spec.support.command"
local files = require "spec.support.files"
local leaks = require "spec.support.leaks"
local report = require "voicecredits.report"
local sandbox = require "voicecredits.sandbox"
local support = require "spec.support.server"
local voicecredits = require "voicecredits"

local VERSION = os.getenv "LUA_VERSION" or "5.4"
local PASSWORD = leaks.new_key "pw"
local key = leaks.new_key()
local unpack = table.unpack or unpack -- luacheck: ignore

local raw, proxy, refusing

setup(function()
  raw = support.raw_server()
  proxy = support.connect_proxy()
  refusing = support.connect_proxy(407)
end)
teardown(function()
  raw:stop()
  proxy:stop()
  refusing:stop()
end)
before_each(function() raw:clear() end)

local function clean(what, ...)
  leaks.check(key, what, ...)
  leaks.check(PASSWORD, what, ...)
end

local function contains(text, part) assert.truthy(text:find(part, 1, true), ("'%s' is not in: %s"):format(part, text)) end

local function names()
  local list = {}
  for i, provider in ipairs(voicecredits.providers()) do list[i] = provider.name end
  return list
end

local function account(behaviour, more)
  local options = { api_key = key, base_url = raw:url(behaviour), retries = 0, timeout = 5 }
  for name, value in pairs(more or {}) do options[name] = value end
  return options
end

-- What servers say ----------------------------------------------------------------------------------------------------

-- Every field that any of the five documents knows for an error, and the key in each of them.
local function error_body()
  local words = {}
  for _, name in ipairs { "code", "msg", "message", "error", "detail", "reason", "type", "title", "status", "data" } do
    words[#words + 1] = ('"%s":"Bearer %s"'):format(name, key)
  end
  return "{" .. table.concat(words, ",") .. "}"
end

local bodies = {
  { "JSON", function() return error_body(), "application/json" end },
  { "JSON with escapes", function()
    return (error_body():gsub("vk%-", "\\u0076k\\u002d")), "application/json"
  end },
  { "errors in objects", function()
    return ('{"success":false,"error":{"code":"%s","message":"x%s"},"message":{"message":["%s","%s"],"error":"%s"},'
      .. '"errors":["%s"],"%s":1}'):format(key, key, key, key, key, key, key), "application/json"
  end },
  { "text", function() return ("x"):rep(150) .. key .. " " .. key, "text/plain" end },
  { "a page", function() return "<html>" .. key, "text/html" end },
  { "the key as JSON", function() return '"' .. key .. '"', "application/json" end },
  { "the key and nothing else", function() return key, "application/json; name=" .. key end },
}

-- Headers that are read, and others, with the key in each; `before` of them cuts it where their room ends.
local function headers_of(content_type, before)
  local value = before .. key
  local headers = { ["Content-Type"] = content_type }
  for _, name in ipairs { "Retry-After", "X-Request-Id", "x-breeze-api-key-id", "x-sup-api-key", "Location", "Server",
    "WWW-Authenticate", "Set-Cookie", "X-Ratelimit" } do headers[name] = value end
  return headers
end

-- An answer with the key in its status line, its headers and its body.
local function echoing(status, body, headers)
  local bytes = support.response(status, body, headers)
  return (bytes:gsub("^HTTP/1.1 %d+ Test", ("HTTP/1.1 %d %s"):format(status, key)))
end

local statuses = { 400, 401, 402, 403, 404, 405, 408, 410, 413, 415, 422, 425, 429, 500, 503, 204, 302, 418 }

describe("a failure does not hold the key", function()
  local kinds = {}

  local function fails(what, balance, failure)
    assert.is_nil(balance, what)
    kinds[failure.kind] = true
    clean(what, failure)
    for _, format in ipairs { "table", "json" } do
      local row = { provider = failure.provider, account = failure.account, failure = failure }
      clean(what .. " as " .. format, report.check({ row }, { format = format, checked_at = 0 }))
    end
    return failure
  end

  it("whatever status a server repeats it with, in status line, headers and body", function()
    for _, status in ipairs(statuses) do
      raw:set("echo", echoing(status, status == 204 and "" or error_body(), headers_of("application/json", "")))
      for _, name in ipairs(names()) do
        fails(name .. " " .. status, voicecredits[name](account "echo"))
      end
    end
  end)

  it("whatever form an answer repeats it in", function()
    for _, name in ipairs(names()) do
      for _, status in ipairs { 200, 401, 404, 429, 500 } do
        for _, body in ipairs(bodies) do
          for before = 0, 90, 15 do
            local text, content_type = body[2]()
            fails(("%s %d %s"):format(name, status, body[1]), voicecredits.parse(name, { status = status, body = text,
              headers = headers_of(content_type, ("i"):rep(before)) }, { api_key = key }))
          end
        end
      end
    end
  end)

  it("where the room for a header cuts it, or the provider does", function()
    for before = 0, 40 do
      local coding = ("z"):rep(before) .. key
      fails("a coding", voicecredits.parse("fish", { status = 200, headers = { ["Content-Encoding"] = coding }, body = "{}" },
        { api_key = key }))
    end
    for length = 8, #key do
      local body = ('{"status":401,"message":"no such key: %s"}'):format(key:sub(1, length))
      local failure = fails("a part", voicecredits.parse("fish", { status = 401, body = body }, { api_key = key }))
      assert.equal("HTTP 401: no such key: [key]", failure.message)
    end
  end)

  it("in other letters, or without the blanks that it was given with", function()
    local function refused(body, given)
      return voicecredits.parse("fish", { status = 401, headers = { ["Content-Type"] = "text/plain" }, body = body },
        { api_key = given })
    end
    for _, echo in ipairs { key:upper(), key:lower(), key } do
      for _, given in ipairs { key, " " .. key, key .. "  " } do
        for _, words in ipairs { "", "bad key " } do fails("letters and blanks", refused(words .. echo, given)) end
      end
    end
    for _, given in ipairs { "ab-1x", " ab-1x", "ab-1x  " } do -- shorter than a part that is no accident
      assert.equal("HTTP 401: [key]/[key]", fails("a short key", refused("ab-1x/AB-1X", given)).message)
    end
  end)

  it("of the kind configuration", function()
    for letter = 0, 127 do
      if letter < 32 or letter == 127 then
        for _, wrong in ipairs { key .. string.char(letter), string.char(letter) .. key, key .. string.char(letter) .. key } do
          fails("control character " .. letter, voicecredits.fish { api_key = wrong })
        end
      end
    end
    for _, wrong in ipairs { key, "http://%s", "ftp://%s", "https://me:%s@localhost", "https://localhost?%s", "https://localhost#%s",
      "https://%s:x", "http://[%s]" } do
      local url = wrong == key and key or wrong:format(key)
      fails(url, voicecredits.fish { api_key = key, base_url = url })
      fails(url, voicecredits.request("fish", { api_key = key, base_url = url }))
    end
  end)

  it("of the kinds timeout, network and cancelled, and too low a balance", function()
    fails("a server that hangs", voicecredits.fish(account("hang", { timeout = 0.05 })))
    fails("a port that nobody serves", voicecredits.fish(account("x", { base_url = "http://127.0.0.1:1" })))
    fails("a name that is none", voicecredits.fish(account("x", { base_url = "https://" .. key:sub(1, 20) .. ".invalid" })))
    for _, behaviour in ipairs { "close-early", "half" } do
      raw:set("half", ("HTTP/1.1 401 %s\r\nServer: %s"):format(key, key), { close = true })
      fails(behaviour, voicecredits.fish(account(behaviour)))
    end
    local session = assert(voicecredits.session())
    local id = session:submit("fish", account "hang")
    clean("a session", tostring(session))
    session:cancel(id)
    fails("cancelled", session:take(id, math.huge))
    session:close()
    raw:set("good", support.response(200, '{"balance":7}'))
    fails("too low", voicecredits.ensure("supertone", 8, account "good"))
  end)

  it("of the kind protocol", function()
    local beginnings = { key, key .. "\r\n", "HTTP/1.1 " .. key .. "\r\n\r\n", "HTTP/9.9 200 " .. key .. "\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: " .. key .. "\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: " .. key .. "\r\n\r\n",
      "HTTP/1.1 200 OK\r\n" .. key .. "\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" .. key }
    for _, bytes in ipairs(beginnings) do
      raw:set("odd", bytes, { close = true })
      fails(bytes, voicecredits.fish(account "odd"))
    end
  end)

  it("of the kind tls", function()
    local server = support.tls_server { certificate = "expired" }
    fails("an expired certificate", voicecredits.fish(account("", { base_url = server.url, ca_file = server.ca_file })))
    fails("a certificate file that is none", voicecredits.fish(account("", { base_url = server.url, ca_file = "/" .. key })))
    server:stop()
  end)

  it("nor the proxy's password", function()
    for _, address in ipairs { "somebody:%s@" .. refusing.address, "somebody:%s@127.0.0.1:1", "somebody:%s@no host:1", "somebody:%s",
      "somebody:%s@nowhere.invalid:1" } do
      for _, scheme in ipairs { "http://", "socks5://", "pigeon://", "" } do
        local url = scheme .. address:format(PASSWORD)
        fails(url:gsub(PASSWORD, "PASSWORD"),
          voicecredits.fish(account("", { base_url = "https://127.0.0.1:1", proxy = url, timeout = 2 })))
      end
    end
  end)

  it("and these were all kinds", function()
    local types = files.read "lua/voicecredits/types.lua"
    for kind in types:gmatch '%-%-%-| "([%l_]+)"' do
      if not types:find('"' .. kind .. '" # unit', 1, true) then assert.truthy(kinds[kind], kind) end
    end
  end)
end)

describe("a balance does not hold the key", function()
  -- The documented sample of a provider, decoded.
  local function sample(name)
    local request = assert(voicecredits.request(name, { api_key = "sandbox" }))
    local headers = {}
    for header, value in pairs(request.headers) do headers[header:lower()] = value end
    return cjson.decode(sandbox.answer("GET", request.url:match "^https://[^/]+(.*)$", headers).body)
  end

  -- Calls `try` with the key in the place of each text in turn, and as a further field of each object.
  local function with_each_text(value, try)
    local fields = {}
    for name, field in pairs(value) do
      fields[#fields + 1] = name
      if type(field) == "table" then with_each_text(field, try) end
    end
    for _, name in ipairs(fields) do
      local field = value[name]
      if type(field) == "string" then
        value[name] = "x" .. key
        try(name)
        value[name] = field
      end
    end
    if #value > 0 then return end
    value[key], value.further = key, key
    try "a further field"
    value[key], value.further = nil, nil
  end

  it("in any field but `raw`, its text or the command's output", function()
    local read, refused = 0, 0
    for _, name in ipairs(names()) do
      local body = sample(name)
      with_each_text(body, function(field)
        local what = name .. ": " .. field
        local balance, failure = voicecredits.parse(name, { status = 200, body = cjson.encode(body),
          headers = headers_of("application/json", "") }, { api_key = key })
        clean(what, balance or failure)
        if not balance then refused = refused + 1 return end
        read = read + 1
        for _, format in ipairs { "table", "json" } do
          local row = { provider = name, account = "default", balance = balance }
          clean(what .. " as " .. format, report.check({ row }, { format = format, checked_at = 0 }))
        end
      end)
    end
    assert.is_true(read >= 10 and refused >= 2, read .. " balances and " .. refused .. " failures")
  end)

  it("and `raw` is the provider's answer untouched, which may", function()
    local balance = assert(voicecredits.parse("supertone", { status = 200, body = ('{"balance":7,"name":"%s"}'):format(key) },
      { api_key = key }))
    assert.equal(key, balance.raw.name)
    assert.equal("supertone/default: 7 credits", tostring(balance))
  end)
end)

describe("a mistake in a program does not show the key", function()
  local function raises(what, action, ...)
    local words = { ... }
    local ok, problem = xpcall(function() return action(unpack(words)) end, function(message)
      return tostring(message) .. "\n" .. debug.traceback()
    end)
    assert.is_false(ok, what)
    clean(what, problem)
  end

  it("where it stands in another's place", function()
    local session = assert(voicecredits.session())
    for _, action in ipairs { "check", "request", "parse", "ensure" } do
      raises(action .. " of no provider", voicecredits[action], key, { status = 200 }, { api_key = key })
    end
    for _, name in ipairs(names()) do
      local action = voicecredits[name]
      raises("the key alone", action, key)
      raises("a list", action, { key })
      raises("a name that is the key", action, { [key] = key })
      raises("a name that is wrong", action, { api_kye = key })
      raises("a type that is wrong", action, { api_key = { key } })
      raises("a time", action, { api_key = key, timeout = key })
      raises("a number", action, { api_key = key, retries = key })
      raises("a session", action, { api_key = key, session = key })
      raises("a way to wait", action, { api_key = key, wait = key })
      raises("a text with a NUL", action, { api_key = key, account = key .. "\0" })
      raises("a session's check", session.submit, session, name, { [key] = key })
      raises("a check in a list", voicecredits.check_all, { { provider = name, [key] = key } })
      raises("a default", voicecredits.check_all, { { provider = name } }, { [key] = key })
      raises("a response", voicecredits.parse, name, { status = key, body = key }, { api_key = key })
      raises("a response's body", voicecredits.parse, name, { status = 200, body = { key } }, { api_key = key })
      raises("a minimum", voicecredits.ensure, name, key, { api_key = key })
    end
    raises("a check of a list", voicecredits.check_all, { key })
    raises("a check of a key", voicecredits.check_all, key)
    raises("a provider in a list", voicecredits.check_all, { { provider = key } })
    raises("a session's option", voicecredits.session, { [key] = key })
    raises("a session's number", voicecredits.session, { max_in_flight = key })
    raises("a session's time", session.wait, session, key)
    raises("a session's id", session.take, session, key)
    raises("a session's provider", session.submit, session, key, { api_key = key })
    session:close()
    raises("a closed session", session.submit, session, "fish", { api_key = key })
  end)

  it("where a callback, a coroutine or a finalizer of the program's crashes", function()
    local function crash() error "crashed" end
    raises("a callback", voicecredits.fish, account("hang", { wait = crash }))
    raises("a callback for all", voicecredits.check_all, { { provider = "fish", api_key = key, base_url = raw:url "hang" } },
      { wait = crash })
    local function crash_in_table() error { "crashed" } end
    raises("an error that is no text", voicecredits.fish, account("hang", { wait = crash_in_table }))
    local thread = coroutine.create(function()
      return voicecredits.fish(account("hang", { wait = function() coroutine.yield() crash() end }))
    end)
    assert.is_true(coroutine.resume(thread))
    local _, problem = coroutine.resume(thread)
    contains(problem, "crashed")
    clean("a coroutine", problem, debug.traceback(thread))
  end)

  it("in the event loops that a check can wait in", function()
    raw:set("echo", echoing(401, error_body(), headers_of("application/json", "")))
    local older = package.path:gsub("/lua/" .. _VERSION:match "%d%.%d" .. "/", "/lua/5.1/") -- where Debian has copas
    local ran = {}
    for name, loop in pairs {
      cqueues = "local loop = require 'cqueues'.new() loop:wrap(ask, 'cqueues') assert(loop:loop())",
      luv = "local uv = require 'luv' coroutine.wrap(ask)('luv') uv.run()",
      copas = "local copas = require 'copas' copas.addthread(ask, 'copas') repeat copas.step(0.1) until asked",
    } do
      local path = os.tmpname()
      files.write(path, [[
        local voicecredits = require "voicecredits"
        function ask(name)
          local options = { api_key = os.getenv "KEY", base_url = os.getenv "BASE", retries = 0, wait = voicecredits.wait[name] }
          local _, failure = voicecredits.fish(options)
          print(failure)
          asked = true
          error("crashed after " .. tostring(failure))
        end
      ]] .. loop)
      local result = command.run({}, { program = path, env = {
        KEY = key, BASE = raw:url "echo", LUA_PATH = package.path .. ";" .. older, LUA_CPATH = package.cpath,
      } })
      os.remove(path)
      clean(name, result.stdout, result.stderr)
      local missing = result.stderr:find("module '" .. name .. "' not found", 1, true)
      if not missing then
        contains(result.stdout .. result.stderr, "fish/default: authentication")
        ran[#ran + 1] = name
      end
    end
    assert.is_true(#ran >= 2, table.concat(ran, " "))
  end)

  it("where nobody catches the error: on the interpreter's standard error", function()
    for _, text in ipairs {
      "check('fish', { api_key = key, base_url = base, wait = function() error 'crashed' end })",
      "check('fish', { api_key = key, [key] = 1 })",
      "check(key)",
      "session():submit('fish', { api_key = { key } })",
      "check('fish', { api_key = key, base_url = base, timeout = 0.05 }); error 'crashed'",
      "session():submit('fish', { api_key = key, base_url = base }); setmetatable({}, { __gc = function() error 'crashed' end })",
    } do
      local path = os.tmpname()
      files.write(path, "local key, base, voicecredits = os.getenv 'KEY', os.getenv 'BASE', require 'voicecredits'\nvoicecredits."
        .. text)
      local result = command.run({}, { program = path, env = {
        KEY = key, BASE = raw:url "hang", LUA_PATH = package.path, LUA_CPATH = package.cpath,
      } })
      os.remove(path)
      if not text:find "__gc" then
        assert.equal(1, result.status)
        contains(result.stderr, "traceback")
      end
      clean(text, result.stdout, result.stderr)
    end
  end)
end)

-- Processes -----------------------------------------------------------------------------------------------------------

-- An environment with this key for each provider, and a home of its own.
local function environment(home, behaviour, more)
  local env = { HOME = home, TMPDIR = home, XDG_CONFIG_HOME = home, XDG_STATE_HOME = home, XDG_CACHE_HOME = home, TERM = "xterm",
    LUA_CPATH = package.cpath }
  for _, provider in ipairs(voicecredits.providers()) do
    env[provider.key_variable], env[provider.base_variable] = key, raw:url(behaviour)
  end
  for name, value in pairs(more or {}) do env[name] = value end
  return env
end

describe("the command", function()
  local home
  setup(function() home = files.lines_of("mktemp -d")[1] end)
  teardown(function() os.execute("rm -rf " .. files.quote(home)) end)

  local root = files.lines_of("pwd")[1]

  local function run(words, behaviour, options)
    options = options or {}
    options.env = environment(home, behaviour, options.env)
    options.program = root .. "/bin/voicecredits"
    options.env.LUA_CPATH = ("%s/build/%s/?.so;;"):format(root, VERSION)
    options.before = "cd " .. files.quote(home)
    local result = command.run(words, options)
    clean(table.concat(words, " "):gsub(key, "KEY"), result.stdout, result.stderr)
    return result
  end

  it("shows no key that the providers repeat, in any format, on a terminal or not", function()
    local balance = support.response(200, cjson.encode { balance = "1.5", name = key, msg = key, credits = { total = 1 } })
    raw:set("sample", balance)
    for _, status in ipairs { 401, 402, 429, 302 } do
      raw:set("echo", echoing(status, error_body(), headers_of("application/json", "")))
      for _, format in ipairs { "table", "json" } do
        assert.equal(1, run({ "check", "--format", format, "--timeout", "0.3" }, "echo").status)
      end
    end
    raw:set("echo", echoing(401, error_body(), headers_of("application/json", "")))
    run({ "guard", "fish", "--min", "1" }, "echo")
    run({ "guard", "fish", "--min", "1", "--fail-open" }, "echo")
    run({ "check" }, "sample")
    run({ "check", "--timeout", "0.3" }, "hang", { terminal = true })
    run({ "providers", "--format", "json" }, "hang")
  end)

  it("shows no key that was typed in the wrong place", function()
    for _, words in ipairs {
      { key }, { "check", key }, { "check", "fish/" .. key }, { "check", "--format", key }, { "check", "--timeout", key },
      { "check", "--" .. key }, { "check", "--api-key", key }, { "check", "--api-key=" .. key }, { "check", "--key=" .. key, key },
      { "check", "-k" .. key }, { "guard", key, "--min", "1" }, { "guard", "fish", "--min", key }, { "guard", "fish", key },
      { "guard", "fish", "--min", "1", "--fail-open=" .. key }, { "providers", key }, { "providers", "--format", key },
      { "sandbox", "--port", key }, { "sandbox", key }, { "fish", "--", key }, { "--version", key }, { "--help", key },
      { "check", "--help=" .. key },
    } do
      local result = run(words, "hang")
      if not words[1]:find "^%-%-" then assert.is_true(result.status ~= 0, table.concat(words, " ")) end
    end
  end)

  it("shows no key in a crash of its own", function()
    local broken = files.lines_of("mktemp -d")[1]
    os.execute(("mkdir -p %s/lua && cp -r bin %s/ && cp -r lua/voicecredits %s/lua/"):format(broken, broken, broken))
    for _, text in ipairs { "error('crashed with ' .. #tostring(rows))", "return nil + 1", "error({ 'crashed' })" } do
      files.write(broken .. "/lua/voicecredits/report.lua", ("return { check = function(rows) %s end }"):format(text))
      local env = environment(home, "close-early", { LUA_CPATH = ("%s/build/%s/?.so;;"):format(root, VERSION) })
      local result = command.run({ "check", "--timeout", "0.3" }, { program = broken .. "/bin/voicecredits", env = env })
      assert.equal(70, result.status, result.stderr)
      clean("a crash", result.stdout, result.stderr)
    end
    os.execute("rm -rf " .. files.quote(broken))
  end)

  it("obeys SSLKEYLOGFILE as every libcurl does, and writes no key there", function()
    local server = support.tls_server { body = '{"balance":7}' }
    local result = run({ "check", "supertone" }, "hang", { env = {
      SUPERTONE_BASE_URL = server.url, SSL_CERT_FILE = server.ca_file, SSLKEYLOGFILE = home .. "/tls-secrets",
    } })
    assert.equal(0, result.status, result.stderr)
    contains(server:log()[1], key)
    server:stop()
    contains(files.peek(home .. "/tls-secrets"), "CLIENT")
  end)

  it("reads no other file of the user's for its keys, and sends none of what is in them", function()
    local server = support.tls_server { body = '{"balance":7}' }
    files.write(home .. "/.netrc", "machine 127.0.0.1 login me password " .. PASSWORD .. "\ndefault login me password " .. PASSWORD)
    files.write(home .. "/.curlrc", "verbose\nuser = me:" .. PASSWORD)
    local result = run({ "check", "supertone" }, "hang", { env = { SUPERTONE_BASE_URL = server.url, SSL_CERT_FILE = server.ca_file } })
    local head = server:log()[1]
    server:stop()
    os.remove(home .. "/.netrc")
    os.remove(home .. "/.curlrc")
    assert.equal(0, result.status, result.stderr)
    contains(head, key)
    assert.is_nil(head:find "Authorization")
    leaks.check(PASSWORD, "the request", head)
  end)

  it("leaves no file behind with a key in it", function()
    leaks.check_folder(key, home)
  end)

  it("puts no key into any process's arguments, starts no process, and ends by Ctrl-C without a word of it", function()
    local running = command.start({ "check", "--timeout", "5" }, { env = environment(home, "hang") })
    local function asked() return #raw:log() end
    local deadline = os.time() + 10
    repeat os.execute "sleep 0.02" until asked() >= 5 or os.time() > deadline
    assert.equal(5, asked())
    local own = tonumber(files.read(running.files.pid))
    local holders = {}
    for _, process in ipairs(leaks.processes()) do
      clean("the arguments of process " .. process.id, process.arguments)
      if leaks.find(key, process.environment) then holders[#holders + 1] = process.id end
    end
    local children = leaks.children(own)
    running:signal "INT"
    local result = running:finish()
    assert.same({ own }, holders) -- the environment that it was given, and nobody else's
    assert.same({}, children)
    assert.equal(130, result.status)
    clean("Ctrl-C", result.stdout, result.stderr)
  end)

  it("plays the providers without a word of the keys that it is asked with", function()
    local running = command.start({ "sandbox" }, { env = { HOME = home } })
    local port = running:wait_for("http://127%.0%.0%.1:%d+"):match ":(%d+)"
    for _, name in ipairs(names()) do
      local _, failure = voicecredits[name] { api_key = key, base_url = "http://127.0.0.1:" .. port, retries = 0 }
      clean("the sandbox's answer", failure)
    end
    running:signal "INT"
    local result = running:finish()
    clean("the sandbox", result.stdout, result.stderr)
  end)
end)

describe("a program's own processes", function()
  it("get no key that was given as an option, neither as an argument nor in their environment", function()
    local seen
    raw:set("later", support.response(200, '{"balance":7}'), { delay = 0.1 })
    assert(voicecredits.supertone(account("later", { wait = function(session)
      local pipe = assert(io.popen "cat /proc/self/environ /proc/self/cmdline")
      seen = pipe:read "*a"
      pipe:close()
      session:wait()
    end })))
    contains(seen, "PATH=")
    clean("a child of a callback", seen)
  end)

  it("inherit no descriptor over which a key went", function()
    raw:set("kept", support.response(200, '{"balance":7}'))
    local session = assert(voicecredits.session())
    local id = session:submit("supertone", account "kept")
    assert(session:take(id, math.huge))
    -- The sockets of connections to that port: those of this process, and those of a program that it starts.
    local connected, remote = {}, (":%04X"):format(raw.port)
    for _, line in ipairs(files.lines_of "cat /proc/net/tcp") do
      local fields = {}
      for field in line:gmatch "%S+" do fields[#fields + 1] = field end
      if fields[3]:sub(-5) == remote then connected["socket:[" .. fields[10] .. "]"] = true end
    end
    local function held_by(listing)
      local count = 0
      for _, line in ipairs(listing) do
        if connected[line:match "-> (.*)$"] then count = count + 1 end
      end
      return count
    end
    local own = held_by(files.lines_of(("ls -l /proc/%d/fd 2>/dev/null"):format(require "process".id())))
    local inherited = held_by(files.lines_of "ls -l /proc/self/fd")
    session:close()
    assert.is_true(own >= 1)
    assert.equal(0, inherited)
  end)
end)

-- Memory --------------------------------------------------------------------------------------------------------------

describe("our own copies of a key", function()
  it("are overwritten before they are freed, and so are those of a proxy's password", function()
    assert(os.execute(("make --silent LUA_VERSION=%s watched"):format(VERSION)))
    local module = ("build/%s/watched/voicecredits/core.so"):format(VERSION)
    local good, expired = support.tls_server { body = '{"balance":7}' }, support.tls_server { certificate = "expired" }
    raw:set("good", support.response(200, '{"balance":7}'))
    raw:set("refused", echoing(401, error_body(), headers_of("application/json", "")))
    raw:set("plain", echoing(401, key, headers_of("text/plain", "")))
    raw:set("repeated", echoing(200, error_body(), headers_of("application/json", "")))
    raw:set("large", support.response(200, ('{"name":"%s","balance":7,"x":"%s"}'):format(key, ("y"):rep(300000))))
    raw:set("endless", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" .. (key .. ("x"):rep(1000)), { ["repeat"] = 2000, close = true })
    raw:set("down", echoing(503, error_body(), headers_of("application/json", "")))
    raw:set("odd", key .. "\r\n", { close = true })
    local marks = os.tmpname()
    local result = command.run({}, { program = "spec/support/keys_journey.lua", env = {
      KEY = key, PASSWORD = PASSWORD, RAW = raw:url "", TLS = good.url, CA_FILE = good.ca_file, EXPIRED = expired.url,
      PROXY = proxy.address, REFUSING = refusing.address, WATCHED_MARKS = key .. " " .. PASSWORD, WATCHED_REPORT = marks,
      LUA_PATH = package.path, LUA_CPATH = ("./build/%s/watched/?.so;%s"):format(VERSION, package.cpath),
    } })
    local told = files.read(marks)
    os.remove(marks)
    good:stop()
    expired:stop()
    assert.equal(0, result.status, result.stderr)
    clean("the journey", result.stdout, result.stderr)
    contains(result.stdout, "supertone/default: 7 credits")
    local places = {}
    for address in told:gmatch "left (%S+)" do
      places[#places + 1] = table.concat(files.lines_of(("addr2line -s -f -e %s %s"):format(module, address)), " at ")
    end
    assert.same({}, places)
    -- Each exchange has two at least, the header and libcurl's list of headers.
    assert.is_true(tonumber(told:match "wiped (%d+)") >= 60, told)
  end)
end)

-- Where a key goes ----------------------------------------------------------------------------------------------------

describe("a key goes to the host of its base URL", function()
  local function https(server, more)
    local options = { api_key = key, base_url = server.url, ca_file = server.ca_file, retries = 0, timeout = 5 }
    for name, value in pairs(more or {}) do options[name] = value end
    return options
  end

  local function has_key(requests)
    for _, request in ipairs(requests) do
      if (request.request or request.key or request):find(key, 1, true) then return true end
    end
    return false
  end

  it("and to none that a redirect names", function()
    local other = support.raw_server()
    other:set("landed", support.response(200, '{"balance":7}'))
    for _, status in ipairs { 301, 302, 303, 307, 308 } do
      for _, where in ipairs { other:url "landed", "//127.0.0.1:" .. other.port .. "/landed", "http://localhost:" .. raw.port .. "/landed" } do
        raw:set("away", support.response(status, "", { Location = where, Refresh = "0; url=" .. where }))
        local _, failure = voicecredits.supertone(account "away")
        assert.equal("protocol", failure.kind)
      end
    end
    local elsewhere = other:log()
    other:stop()
    assert.same({}, elsewhere)
    for _, request in ipairs(raw:log()) do assert.equal("away", request.behaviour) end
  end)

  it("each to its own, where there are many", function()
    local others, accounts, all = {}, {}, names()
    for i, name in ipairs(all) do
      others[i] = support.raw_server()
      accounts[i] = { provider = name, api_key = key .. "-" .. i, base_url = others[i]:url "close-early" }
    end
    voicecredits.check_all(accounts, { retries = 0 })
    for i in ipairs(all) do
      local log = others[i]:log()
      others[i]:stop()
      assert.equal(1, #log)
      for j in ipairs(all) do
        assert.equal(i == j, log[1].request:find(key .. "-" .. j, 1, true) ~= nil)
      end
    end
  end)

  it("each to its own, where two of one provider take turns", function()
    local other, session = support.raw_server(), assert(voicecredits.session())
    for i = 1, 8 do
      local server = i % 2 == 0 and raw or other
      server:set("turn", support.response(200, '{"balance":7}'))
      assert(voicecredits.supertone { session = session, api_key = ("key-%d."):format(i), base_url = server:url "turn" })
    end
    session:close()
    local logs = { [0] = raw:log(), other:log() }
    other:stop()
    for turn = 0, 1 do
      assert.equal(4, #logs[turn])
      for _, request in ipairs(logs[turn]) do assert.equal(turn, request.request:match "key%-(%d)%." % 2) end
    end
  end)

  for _, version in ipairs { "2", "1.1" } do
    it("and each request has its own key, over the connections of others too: HTTP/" .. version, function()
      local server = support.key_server(version)
      for _ = 1, 2 do
        local accounts = {}
        for i = 1, 24 do
          accounts[i] = { provider = "supertone", api_key = ("key-%d"):format(i), base_url = server.url, ca_file = server.ca_file }
        end
        for i, row in ipairs(voicecredits.check_all(accounts)) do
          assert.equal(i, row.balance and row.balance.remaining, tostring(row.failure))
        end
      end
      local connections, requests, count = {}, server:requests(), 0
      server:stop()
      for _, request in ipairs(requests) do
        assert.equal(version, request.version)
        if not connections[request.connection] then count = count + 1 end
        connections[request.connection] = true
      end
      assert.equal(48, #requests)
      assert.is_true(count <= (version == "2" and 1 or 8), count .. " connections")
    end)
  end

  for _, certificate in ipairs { "expired", "wrong-name", "self-signed" } do
    for _, way in ipairs { "directly", "through a proxy" } do
      it(("only once its certificate was accepted: %s, %s"):format(certificate, way), function()
        local server = support.tls_server { certificate = certificate }
        local through = way ~= "directly" and "http://" .. proxy.address or nil
        for _, behind in ipairs { server.url, server.localhost_url } do
          local _, failure = voicecredits.supertone(https(server, { base_url = behind, proxy = through }))
          assert.equal("tls", failure.kind, tostring(failure))
        end
        local log = server:log()
        server:stop()
        assert.same({}, log)
      end)
    end
  end

  it("only where its own account trusts the certificate, though another's connection is open", function()
    for _, version in ipairs { "2", "1.1" } do
      local server, stranger = support.key_server(version), support.key_server(version)
      local session = assert(voicecredits.session())
      local function ask(more)
        more.session = session
        return voicecredits.supertone(https(server, more))
      end
      assert.equal(1, assert(ask { api_key = "trusting-1" }).remaining)
      for _, authority in ipairs { stranger.ca_file, "/nowhere/ca.pem" } do
        local _, failure = ask { ca_file = authority }
        assert.equal("tls", failure and failure.kind)
      end
      local options = https(server, { session = session })
      options.ca_file = nil -- those of the system
      assert.equal("tls", select(2, voicecredits.supertone(options)).kind)
      assert.equal(2, assert(ask { api_key = "trusting-2" }).remaining)
      local requests = server:requests()
      server:stop()
      stranger:stop()
      session:close()
      assert.equal(2, #requests)
      assert.is_false(has_key(requests))
    end
  end)

  it("through a proxy in a tunnel only: the proxy sees neither the key nor the header's name", function()
    local server = support.key_server()
    local options = https(server, { api_key = key .. "-7", proxy = ("http://somebody:%s@%s"):format(PASSWORD, proxy.address) })
    assert.equal(7, assert(voicecredits.supertone(options)).remaining)
    local requests = server:requests()
    server:stop()
    assert.is_true(has_key(requests))
    local seen = proxy:seen()
    contains(seen, "CONNECT 127.0.0.1:" .. server.port)
    leaks.check(key, "what the proxy saw", seen)
    assert.is_nil(seen:lower():find("x-sup-api-key", 1, true))
  end)

  it("and not at all where the proxy makes no tunnel", function()
    local server = support.key_server()
    local good = https(server, { api_key = "open-1" })
    assert(voicecredits.supertone(good)) -- a connection that must not be taken instead
    local _, failure = voicecredits.supertone(https(server, { proxy = "http://" .. refusing.address }))
    local requests = server:requests()
    server:stop()
    assert.equal("network", failure.kind)
    assert.equal(1, #requests)
    leaks.check(key, "what the proxy saw", refusing:seen())
  end)

  it("and never to a proxy in the clear: the option is refused, the environment's is passed over", function()
    local before = proxy:seen()
    for _, scheme in ipairs { "", "http://", "socks5://", "https://" } do
      for _, host in ipairs { "127.0.0.1", "localhost", "[::1]" } do
        local _, failure = voicecredits.supertone(account("good", { proxy = scheme .. proxy.address, base_url = "http://" .. host .. ":1" }))
        assert.equal("configuration", failure.kind)
        contains(failure.message, "proxy")
      end
    end
    raw:set("good", support.response(200, '{"balance":7}'))
    local env = environment("/nonexistent", "good")
    for _, name in ipairs { "http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY" } do
      env[name] = "http://" .. proxy.address
    end
    env.NO_PROXY = "nowhere.example"
    local result = command.run({ "check", "supertone", "--format", "json" }, { env = env })
    contains(result.stdout, '"remaining":7')
    assert.equal(before, proxy:seen())
  end)

  it("in a tunnel through the environment's proxy too", function()
    local server = support.tls_server { body = '{"balance":7}' }
    for _, name in ipairs { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY" } do
      local env = environment("/nonexistent", "good", { SUPERTONE_BASE_URL = server.url, SSL_CERT_FILE = server.ca_file,
        [name] = "http://somebody:" .. PASSWORD .. "@" .. proxy.address })
      local result = command.run({ "check", "supertone", "--format", "json" }, { env = env })
      contains(result.stdout, '"remaining":7')
      contains(proxy:seen(), "CONNECT 127.0.0.1:" .. server.port)
      env[name] = "http://somebody:" .. PASSWORD .. "@no host:1"
      result = command.run({ "check", "supertone", "--format", "json" }, { env = env })
      contains(result.stdout, '"network"')
      clean("a proxy of the environment", result.stdout, result.stderr)
    end
    assert.equal(4, #server:log())
    server:stop()
    leaks.check(key, "what the proxy saw", proxy:seen())
  end)
end)

-- Hosts ---------------------------------------------------------------------------------------------------------------

-- Once, not on every Lua: the hosts bring their own.
local once = VERSION == "5.4" and describe or function() end

once("Neovim", function()
  local editor = require "spec.support.nvim.editor"
  local folder
  setup(function()
    if files.peek "build/jit/voicecredits/core.so" == "" then assert(os.execute "make --silent LUA_VERSION=jit") end
    folder = editor.folder()
  end)
  teardown(function() folder.remove() end)

  local function run(text, behaviour, options)
    options = options or {}
    options.folder, options.env = folder, environment(folder.home, behaviour, { KEY = key })
    options.env.LUA_CPATH = nil
    local told, process = editor.run(text, options)
    clean("Neovim", told, process.output)
    leaks.check_folder(key, folder.home)
    return told
  end

  -- All that a user can see of the editor, and all that it writes to the disk.
  local look = [[
    local t, key = ..., os.getenv "KEY"
    function t.look(name)
      t.told[name] = { t.lines(), vim.api.nvim_exec("messages", true), t.notes, require "voicecredits.nvim".statusline() }
      local folder = vim.env.HOME .. "/"
      vim.cmd("wshada! " .. folder .. "shada")
      vim.cmd("mksession! " .. folder .. "session.vim")
      vim.o.updatecount, vim.o.directory, vim.o.swapfile, vim.o.undofile, vim.o.undodir = 200, folder, true, true, folder
      vim.cmd("edit " .. folder .. "notes")
      vim.api.nvim_buf_set_lines(0, 0, -1, false, { "some text" })
      vim.cmd "silent write"
      vim.cmd "preserve"
    end
  ]]

  it("shows no key in its window, messages, status line and health, and writes none to shada, swap or session", function()
    raw:set("echo", echoing(401, error_body(), headers_of("application/json", "")))
    for _, way in ipairs { "environment", "configuration" } do
      local told = run(look .. ([[
        if %q == "configuration" then
          local list = {}
          for _, name in ipairs(require "voicecredits.nvim.config".providers) do
            list[#list + 1] = { provider = name, api_key = key, account = "one" }
          end
          require "voicecredits.nvim".setup { accounts = list }
        end
        vim.o.statusline = "%%{v:lua.require'voicecredits.nvim'.statusline()}"
        vim.cmd "VoiceCredits"
        t.wait(function() return t.shows "r asks again" end)
        t.wait(function() return require "voicecredits.nvim".statusline() ~= "" end)
        t.look "window"
        vim.cmd "checkhealth voicecredits"
        t.told.health = vim.api.nvim_buf_get_lines(0, 0, -1, false)
        t.told.shown = t.told.window[4] ]]):format(way), "echo")
      contains(table.concat(told.health, "\n"), way == "environment" and "FISH_API_KEY is set" or "5 accounts")
      contains(told.shown, "authentication")
    end
  end)

  it("shows no key of a mistake or of a crash in a callback", function()
    local told = run(look .. [[
      local nvim = require "voicecredits.nvim"
      local said = {}
      local function try(...) said[#said + 1] = tostring(select(2, xpcall(..., debug.traceback))) end
      try(function() nvim.check(key, function() end) end)
      try(function() nvim.check("fish", { [key] = 1 }, function() end) end)
      try(function() nvim.check("fish", { api_key = { key } }, function() end) end)
      try(function() nvim.check("fish", { api_key = key }, key) end)
      try(function() nvim.setup { [key] = 1 } end)
      try(function() nvim.setup { accounts = { key } } end)
      try(function() nvim.setup { accounts = { { provider = key } } } end)
      try(function() nvim.setup { accounts = { { provider = "fish", [key] = 1 } } } end)
      try(function() nvim.setup { interval = key } end)
      try(function() nvim.setup { low = { [key] = 1 } } end)
      try(function() nvim.setup { format = key } end)
      nvim.open { key }
      nvim.open { "fish/" .. key }
      vim.g.voicecredits = { accounts = { key }, [key] = key }
      t.told.said = said
      local asked = 0
      for _, options in ipairs { { api_key = key }, { api_key = key .. "\n" }, { api_key = key, timeout = -1 } } do
        nvim.check("fish", options, function(balance, failure)
          asked = asked + 1
          t.told[asked] = { tostring(balance), tostring(failure), failure }
          error "crashed"
        end)
      end
      t.wait(function() return asked == 3 end)
      t.settle()
      t.look "after"]], "close-early")
    assert.equal(11, #told.said)
    contains(told.after[2], "crashed")
  end)
end)

once("nginx", function()
  local nginx = require "spec.support.nginx"

  it("writes no key to its logs, its answers or its dictionary", function()
    raw:set("echo", echoing(401, error_body(), headers_of("application/json", "")))
    local server = nginx.start {
      env = environment("/nonexistent", "echo", { LUA_CPATH = ";;" }),
      http = [[
        error_log debug.log debug;
        access_log access.log;
        lua_shared_dict voicecredits 1m;
        init_worker_by_lua_block {
          key = os.getenv "FISH_API_KEY"
          openresty = require "voicecredits.openresty"
          openresty.refresh { interval = 0.2, timeout = 1, retries = 0 }
        }
      ]],
      server = ([[
        location = / { return 200; }
        location = /credits { content_by_lua_block { openresty.handler() } }
        location = /metrics { content_by_lua_block { openresty.metrics() } }
        location = /check { content_by_lua_block { ngx.print(tostring(select(2, openresty.check("fish", { api_key = key })))) } }
        location = /crash {
          content_by_lua_block { openresty.check("fish", { api_key = key, wait = 1, [key] = key }) }
        }
        location = /crash-later {
          content_by_lua_block {
            openresty.wait = function() error "crashed" end
            openresty.check("fish", { api_key = key, base_url = "%s" })
          }
        }
        location = /mistake { content_by_lua_block { openresty.check(key) } }
        location = /reader { content_by_lua_block { openresty.handler { [key] = 1 } } }
        location = /refresh { content_by_lua_block { openresty.refresh { [key] = 1, dict = "voicecredits" } } }
        location = /stored {
          content_by_lua_block {
            for _, name in ipairs(ngx.shared.voicecredits:get_keys(0)) do
              ngx.say(name, " = ", tostring(ngx.shared.voicecredits:get(name)))
            end
          }
        }
      ]]):format(raw:url "hang"),
    }
    local told, logs = {}, nil
    local ok, problem = pcall(function()
      nginx.eventually("a round", function() return server:get "/credits".status == 200 end)
      for _, path in ipairs { "/credits", "/metrics", "/check", "/crash", "/mistake", "/reader", "/refresh", "/crash-later", "/stored" } do
        told[#told + 1] = { path, server:get(path) }
      end
      logs = server:log() .. files.peek(server.home .. "/debug.log")
      for _, id in ipairs(server:workers()) do assert.same({}, leaks.children(id)) end
      leaks.check_folder(key, server.home, { run = true }) -- the script by which it got its environment
    end)
    server:stop()
    if not ok then error(problem, 0) end
    clean("nginx's answers", told)
    for _, word in ipairs { "authentication", "crashed" } do assert.is_true(logs:find(word, 1, true) ~= nil, word) end
    clean("nginx's logs", logs)
  end)
end)
