--- The five providers' balance endpoints on one loopback port, for trying out good and bad days without an account.
--
-- The key chooses the answer: "sandbox" gets the documented sample, "sandbox-empty", "sandbox-null", "sandbox-denied",
-- "sandbox-limited", "sandbox-down" and "sandbox-slow" get what their names say, any other key is refused.

-- Debian installs lua-http's pure Lua parts for 5.1 only; they run under every later version from there.
local function find_lua_http()
  if pcall(require, "http.server") then return end
  local version = _VERSION:match("%d+%.%d+")
  local known = ";" .. package.path .. ";"
  for template in package.path:gmatch("[^;]+") do
    local older = template:gsub("/" .. version:gsub("%.", "%%.") .. "/", "/5.1/")
    if not known:find(";" .. older .. ";", 1, true) then
      known = known .. older .. ";"
      package.path = package.path .. ";" .. older
    end
  end
end
find_lua_http()

local cqueues = require "cqueues"
local http_headers = require "http.headers"
local http_server = require "http.server"
local http_util = require "http.util"

local HOST = "127.0.0.1"
local SLOW = 2 -- seconds that "sandbox-slow" waits
local PATIENCE = 60 -- seconds that an idle connection is kept
local LARGEST_BODY = 65536 -- no request to these endpoints has a body at all

---@class voicecredits.sandbox.Answer
---@field status integer
---@field headers table<string, string>
---@field body string
---@field delay number? seconds to wait before the answer

local function json(status, body, headers)
  return { status = status, body = body, headers = headers or {} }
end

-- Where each provider looks for its key ------------------------------------------------------------------------------

local function header(name)
  return function(headers) return headers[name] end
end

local function bearer(headers)
  local scheme, token = (headers["authorization"] or ""):match("^(%a+) +(.-) *$")
  return scheme and scheme:lower() == "bearer" and token or nil
end

-- The five providers -------------------------------------------------------------------------------------------------

local function supertone_error(status, message, name, headers)
  local form = '{"status":"error","message":{"statusCode":%d,"message":"%s","error":"%s"}}'
  return json(status, form:format(status, message, name), headers)
end

local supertone = {
  path = "^/v1/credits$",
  key = header "x-sup-api-key",
  sample = json(200, '{"balance":123}'),
  empty = json(200, '{"balance":0}'),
  null = json(200, '{"balance":null}'),
  denied = supertone_error(401, "Invalid API key", "Unauthorized"),
  limited = supertone_error(429, "rate limit exceeded", "Too Many Requests", { ["retry-after"] = "30" }),
  down = supertone_error(500, "Failed with credit system.", "Internal Server Error"),
}

-- Suno tells every outcome in the envelope; the HTTP status stays 200.
local function suno_envelope(code, message, data)
  return json(200, ('{"code":%d,"msg":"%s","data":%s}'):format(code, message, data))
end

local suno = {
  path = "^/api/v1/generate/credit$",
  key = bearer,
  sample = suno_envelope(200, "success", "100"),
  empty = suno_envelope(200, "success", "0"),
  null = suno_envelope(200, "success", "null"),
  denied = suno_envelope(401, "Unauthorized access", "null"),
  limited = suno_envelope(430, "Your call frequency is too high. Please try again later.", "null"),
  down = suno_envelope(455, "System maintenance", "null"),
}

local function fish_wallet(credit)
  return json(200, '{"_id":"6650f1c2a4b8d93e7c0a1b2d","user_id":"8f14e45fceea467a9c1b2d3e4f5a6b7c","credit":' .. credit
    .. ',"created_at":"2026-01-15T08:00:00.000000Z","updated_at":"2026-11-20T09:30:00.250000Z"'
    .. ',"has_phone_sha256":true,"has_free_credit":null}')
end

local function fish_error(status, message, headers)
  return json(status, ('{"status":%d,"message":"%s","reason":null}'):format(status, message), headers)
end

-- has_free_credit is filled only for those who ask for it.
local function fish_refine(answer, query)
  local asked = query.check_free_credit or "false"
  if answer.status ~= 200 or asked == "false" then return answer end
  if asked == "true" then
    return json(200, (answer.body:gsub('"has_free_credit":null', '"has_free_credit":true')))
  end
  return json(422, '[{"loc":["check_free_credit"],"type":"bool_parsing",'
    .. '"msg":"Input should be a valid boolean","in":"query"}]')
end

local fish = {
  path = "^/wallet/[^/]+/api%-credit$",
  key = bearer,
  refine = fish_refine,
  sample = fish_wallet '"12.340000"',
  empty = fish_wallet '"0"',
  null = fish_wallet 'null',
  denied = json(401, '{"message":"Invalid Token","status":401}'),
  limited = fish_error(429, "Too many requests", { ["retry-after"] = "30" }),
  down = fish_error(503, "The server cannot process the request due to a high load"),
}

local function srtgen_balance(total, extra, plan)
  local form = '{ "success": true, "user": { "name": "Alex Rivera", "email": "[email protected]" }, "credits": '
    .. '{ "totalBalance": %s, "totalMonthlyCredits": 1000, "extraCredits": %s, "plans": [ { "id": "starter", '
    .. '"name": "Starter Plan", "status": "active", "balance": %s, "total": 1000, '
    .. '"resetTime": "2026-04-29T17:48:46.000Z" } ] }, "storage": { "usage": 209715200, "limit": 10737418240, '
    .. '"formattedUsage": "200 MB", "formattedLimit": "10 GB" }, "updatedAt": "2026-03-29T17:48:46.000Z" }'
  return json(200, form:format(total, extra, plan))
end

local function srtgen_error(status, code, message, headers)
  return json(status, ('{"success": false, "error": "%s", "message": "%s"}'):format(code, message), headers)
end

local srtgen = {
  path = "^/api/v1/balance$",
  key = header "x-api-key",
  sample = srtgen_balance("1250", "250", "1000"),
  empty = srtgen_balance("0", "0", "0"),
  null = srtgen_balance("null", "250", "1000"),
  denied = srtgen_error(401, "unauthorized", "Invalid or expired API key"),
  limited = srtgen_error(429, "rate_limited", "Too many requests", { ["retry-after"] = "30" }),
  down = srtgen_error(500, "server_error", "An unexpected internal error occurred."),
}

local function breeze_balance(credits, millicredits, topups)
  local form = '{"balance":%s,"balance_millicredits":%s,"topups":[%s]}'
  return json(200, form:format(credits, millicredits, topups))
end

local function breeze_error(status, code, detail, headers)
  return json(status, ('{"ok":false,"code":"%s","detail":"%s","error":"%s"}'):format(code, detail, detail), headers)
end

local breeze_topup = '{"topup_id":"topup_id_01h","amount":0.5,"status":"active","created_at":"2026-04-02T10:15:30Z"}'

local breeze = {
  path = "^/v1/balance$",
  key = function(headers) return headers["xi-api-key"] or bearer(headers) end,
  identity = { "x-breeze-api-key-id", "key_sandbox" }, -- told whenever the key was accepted
  sample = breeze_balance("0.5", "1", breeze_topup),
  empty = breeze_balance("0", "0", ""),
  null = breeze_balance("null", "null", ""),
  denied = breeze_error(401, "AUTH_REQUIRED", "Authentication required."),
  limited = breeze_error(429, "RATE_LIMITED", "Rate limit exceeded.", { ["retry-after"] = "30" }),
  down = breeze_error(503, "GENERATION_CAPACITY_EXCEEDED", "Service temporarily unavailable."),
}

local providers = { supertone = supertone, suno = suno, fish = fish, srtgen = srtgen, breeze = breeze }
local order = { "supertone", "suno", "fish", "srtgen", "breeze" }

local keys = {
  ["sandbox"] = "sample",
  ["sandbox-empty"] = "empty",
  ["sandbox-null"] = "null",
  ["sandbox-denied"] = "denied",
  ["sandbox-limited"] = "limited",
  ["sandbox-down"] = "down",
  ["sandbox-slow"] = "sample",
}

-- Deciding -----------------------------------------------------------------------------------------------------------

local sandbox = {}

local function provider_at(path)
  for _, name in ipairs(order) do
    if path:find(providers[name].path) then return providers[name] end
  end
end

local function read_query(text)
  local query = {}
  for name, value in text:gmatch("([^&=]+)=([^&]*)") do query[name] = value end
  return query
end

local function finish(answer, extra, delay)
  local headers = { ["content-type"] = "application/json", ["content-length"] = tostring(#answer.body) }
  for name, value in pairs(answer.headers) do headers[name] = value end
  if extra then headers[extra[1]] = extra[2] end
  return { status = answer.status, headers = headers, body = answer.body, delay = delay }
end

--- Decides what is answered to one request; neither waits nor sends.
---@param method string
---@param target string path with its query, such as "/wallet/self/api-credit?check_free_credit=true"
---@param headers table<string, string> the request's headers, names in lower case
---@return voicecredits.sandbox.Answer
function sandbox.answer(method, target, headers)
  local path, query = target:match("^([^?]*)%??(.*)$")
  local provider = provider_at(path)
  if not provider then return finish(json(404, '{"error":"no provider has this path"}')) end
  if method ~= "GET" then
    return finish(json(405, '{"error":"a balance is read with GET"}', { allow = "GET" }))
  end
  local key = provider.key(headers)
  local choice = keys[key or ""] or "denied"
  if choice == "denied" then return finish(provider.denied) end
  local answer = provider[choice]
  if provider.refine then answer = provider.refine(answer, read_query(query)) end
  return finish(answer, provider.identity, key == "sandbox-slow" and SLOW or nil)
end

-- Serving ------------------------------------------------------------------------------------------------------------

---@class voicecredits.sandbox.Server
---@field port integer
---@field delay number seconds that "sandbox-slow" waits
local Server = {}
Server.__index = Server

local function lower_case_headers(request)
  local headers = {}
  for name, value in request:each() do headers[name] = headers[name] or value end
  return headers
end

local function read_body(stream)
  local size = 0
  repeat
    local chunk = stream:get_next_chunk(PATIENCE)
    size = size + #(chunk or "")
  until not chunk or size > LARGEST_BODY
  return stream.state == "half closed (remote)" -- lua-http's word for a request read to its end
end

local function send_head(stream, answer, ends)
  local headers = http_headers.new()
  headers:append(":status", tostring(answer.status))
  for name, value in pairs(answer.headers) do headers:append(name, value) end
  return stream:write_headers(headers, ends, PATIENCE)
end

-- A client may be gone at any point: lua-http then returns nil, and there is nobody left to tell.
local function reply(server, stream)
  local request = stream:get_headers(PATIENCE)
  if not request or not read_body(stream) then return end
  local method = request:get(":method")
  local answer = sandbox.answer(method, request:get(":path") or "", lower_case_headers(request))
  if answer.delay then cqueues.sleep(server.delay) end
  local bodiless = method == "HEAD"
  if send_head(stream, answer, bodiless) and not bodiless then
    stream:write_chunk(answer.body, true, PATIENCE)
  end
end

local bad_request = { status = 400, headers = { ["content-length"] = "0" } }

local function give_up(stream)
  if not stream.body_write_type then send_head(stream, bad_request, true) end
  if stream.connection.socket then stream.connection.socket:shutdown() end
  if stream.state ~= "closed" then stream:set_state("closed") end
end

-- lua-http 0.4 reads what is left of a request when a stream ends, and goes round for ever, holding every other
-- connection, where the client was gone before that. A stream that was closed here has nothing left to read.
local function serve(server, stream)
  server.connections[stream.connection] = true
  http_util.yieldable_pcall(reply, server, stream)
  local unread = stream.state == "open" or stream.state == "half closed (local)"
  if unread then http_util.yieldable_pcall(give_up, stream) end
end

local known_options = { port = "integer from 0 to 65535", delay = "number of seconds, 0 or more" }

local function check_options(options)
  for name in pairs(options) do
    if not known_options[name] then error(("unknown option '%s' (port, delay)"):format(tostring(name)), 3) end
  end
  local port, delay = options.port or 0, options.delay or SLOW
  if type(port) ~= "number" or port % 1 ~= 0 or port < 0 or port > 65535 then
    error("option 'port' must be an " .. known_options.port, 3)
  end
  if type(delay) ~= "number" or delay ~= delay or delay < 0 then
    error("option 'delay' must be a " .. known_options.delay, 3)
  end
  return math.floor(port), delay
end

--- Binds the sandbox to a port of 127.0.0.1; nothing is served before `run`.
---@param options? { port?: integer, delay?: number } port 0, the default, is any free one; delay is for "sandbox-slow"
---@return voicecredits.sandbox.Server?
---@return string? message why the port cannot be used
function sandbox.open(options)
  local port, delay = check_options(options or {})
  local self = setmetatable({ delay = delay, connections = setmetatable({}, { __mode = "k" }) }, Server)
  self.loop = cqueues.new()
  local listener = assert(http_server.listen {
    cq = self.loop, host = HOST, port = port, reuseaddr = true, tls = false, version = 1.1,
    intra_stream_timeout = PATIENCE,
    onstream = function(_, stream) serve(self, stream) end,
    onerror = function() end, -- what goes wrong on one connection ends that connection and nothing else
  })
  local bound, message = listener:listen()
  if not bound then
    listener:close()
    return nil, ("port %d of %s cannot be used: %s"):format(port, HOST, message)
  end
  self.listener = listener
  self.port = select(3, listener:localname())
  return self
end

--- The base URL at which this sandbox plays a provider.
---@param provider string
---@return string
function Server:url(provider)
  if not providers[provider] then
    error(("unknown provider '%s' (%s)"):format(tostring(provider), table.concat(order, ", ")), 2)
  end
  return ("http://%s:%d"):format(HOST, self.port) -- the five paths differ, so one port needs no prefix
end

--- The environment variables that lead all five providers here, as { name, value } pairs.
---@return string[][]
function Server:environment()
  local variables = {}
  for _, name in ipairs(order) do
    variables[#variables + 1] = { name:upper() .. "_API_KEY", "sandbox" }
    variables[#variables + 1] = { name:upper() .. "_BASE_URL", self:url(name) }
  end
  return variables
end

--- Serves until the server is closed. Inside a cqueues controller it yields to the others there.
function Server:run()
  while self.listener do
    self.loop:step() -- a false result means that one connection failed; the others go on
  end
end

--- Stops serving and gives the port back. A second call does nothing.
function Server:close()
  local listener = self.listener
  if not listener then return end
  self.listener = nil
  listener:close()
  local open = {}
  for connection in pairs(self.connections) do open[#open + 1] = connection end -- closing one yields
  for _, connection in ipairs(open) do connection:close() end
end

return sandbox
