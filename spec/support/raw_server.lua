--- A server of raw sockets for the answers that no well-behaved server gives: `raw_server.lua [FOLDER]`. Its own process;
-- see server.lua.
--
-- With a FOLDER it gives the same answers over TLS too, on one port for each kind of certificate (certificates.lua), and
-- writes its authority to FOLDER/ca.pem.
--
-- The first segment of a request's path names a behaviour. These are always there:
--   hang              reads the request and never answers
--   close-early       closes the connection once it has read the request
--   redirect:STATUS   answers with that status and a Location on this server, /landed
-- Others are set: POST /__set?name=X has the raw bytes of the answer as its body, and these options in its query:
--   delay=SECONDS     waits first              drip=N     sends N bytes a second
--   repeat=N          sends what follows the head N times
--   close=1           closes at the end        reset=1    resets at the end, on ports of its own (see serve_reset)
--   blunt=1           sends at once and without TLS to whoever connects, on a port of its own
--   cut=N             gives the first N bytes that the TLS server says in its handshake, on a port of its own
-- POST /__set_all does so for an array of { name, raw, options }.
-- GET /__log and GET /__count tell what came in, POST /__clear forgets it.

local folder = arg[0]:match("^(.*/)") or "./"
package.path = folder .. "?.lua;" .. package.path

local certificates = require "certificates"
local cjson = require "cjson"
local cqueues = require "cqueues"
local cs = require "cqueues.socket"
local lifeline = require "lifeline"

local loop = cqueues.new()
local behaviours = {} -- name -> { raw, options }
local own_ports = {} -- name -> { http = port, https = port }, of the behaviours that have ports of their own
local home = arg[1]
local contexts, tls_ports = {}, {} -- by kind of certificate, with a FOLDER
local log = {}
local count = { accepted = 0, connections = 0, open = 0, in_progress = 0, peak = 0 }

-- Reading ------------------------------------------------------------------------------------------------------------

local function read_request(socket)
  local lines = {}
  repeat
    local line = socket:xread("*L")
    if not line then return nil end
    lines[#lines + 1] = line
  until line == "\r\n" or line == "\n"
  local head = table.concat(lines)
  local length = tonumber(head:lower():match("\ncontent%-length: *(%d+)") or 0)
  local body = length > 0 and socket:xread(length) or ""
  local method, target = head:match("^(%S+) (%S+)")
  local path = (target or ""):gsub("^https?://[^/]*", "") -- a proxy gets the whole URL
  return { method = method, head = head, body = body, path = path, behaviour = path:match("^/?([^/?]*)") }
end

local function read_query(path)
  local query = {}
  for name, value in (path:match("%?(.*)$") or ""):gmatch("([^&=]+)=([^&]*)") do query[name] = value end
  return query
end

-- Answering ----------------------------------------------------------------------------------------------------------

-- Sends bytes at the wanted speed; false once the client is gone.
local function send(socket, bytes, drip)
  if not drip then return socket:xwrite(bytes, "bn") and true or false end
  local step = math.max(1, math.floor(drip / 50))
  for start = 1, #bytes, step do
    if not socket:xwrite(bytes:sub(start, start + step - 1), "bn") then return false end
    cqueues.sleep(step / drip)
  end
  return true
end

-- The body goes out in blocks, so that a huge answer costs little memory here.
local function send_repeated(socket, body, times, drip)
  local per_block = math.max(1, math.floor(65536 / math.max(1, #body)))
  local block = body:rep(per_block)
  while times >= per_block do
    if not send(socket, block, drip) then return false end
    times = times - per_block
  end
  return send(socket, body:rep(times), drip)
end

local function send_behaviour(socket, behaviour)
  local options = behaviour.options
  if options.delay then cqueues.sleep(options.delay) end
  if not options["repeat"] then return send(socket, behaviour.raw, options.drip) end
  local head, body = behaviour.raw:match("^(.-\r\n\r\n)(.*)$")
  return send(socket, head, options.drip) and send_repeated(socket, body, options["repeat"], options.drip)
end

local function plain(status, body, headers)
  return ("HTTP/1.1 %d Raw\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s")
    :format(status, #body, headers or "", body)
end

-- Each returns true where the connection may carry another request.
local fixed = {
  ["hang"] = function(socket)
    socket:xread(1) -- only the client's leaving ends this
  end,
  ["close-early"] = function() end,
  ["redirect"] = function(socket, argument)
    return send(socket, plain(tonumber(argument) or 302, "{}", "Location: /landed\r\n"))
  end,
}

local function answer(socket, request)
  local behaviour = behaviours[request.behaviour]
  if behaviour then return send_behaviour(socket, behaviour) and not behaviour.options.close end
  local name, argument = request.behaviour:match("^([^:]*):?(.*)$")
  if fixed[name] then return fixed[name](socket, argument) end
  return send(socket, plain(404, '{"error":"no such behaviour"}'))
end

local function quiet(_, _, why) return why end

-- Counting -----------------------------------------------------------------------------------------------------------

-- Counts one request while `work` goes on; `connection` is the number of its connection, if it had one before.
local function counted(request, connection, work)
  if not connection then
    count.connections = count.connections + 1
    count.open = count.open + 1
    connection = count.connections
  end
  log[#log + 1] = { behaviour = request.behaviour, request = request.head, connection = connection,
    at = cqueues.monotime() }
  count.in_progress = count.in_progress + 1
  count.peak = math.max(count.peak, count.in_progress)
  local keep = work()
  count.in_progress = count.in_progress - 1
  return keep, connection
end

-- A connection closed with unread bytes in it is reset by the kernel. The sockets here cannot be told to linger for no
-- time, so a resetting behaviour has a port of its own, where nobody needs to read the request to know what is wanted.
local function serve_reset(socket, name)
  cqueues.poll({ pollfd = socket:pollfd(), events = "r" })
  counted({ behaviour = name, head = "" }, nil, function()
    send_behaviour(socket, behaviours[name])
    cqueues.sleep(0.05) -- a reset overtakes what the client has not yet received
  end)
  count.open = count.open - 1
  socket:close()
end

local function wait_for_end(socket)
  repeat until not socket:xread(-4096)
end

local function serve_blunt(socket, name)
  local behaviour = behaviours[name]
  if send_behaviour(socket, behaviour) and not behaviour.options.close then wait_for_end(socket) end
  socket:close()
end

-- Stands between the client and the TLS server, whose words end after a number of bytes.
local function serve_cut(socket, name)
  local options = behaviours[name].options
  local server = cs.connect { host = "127.0.0.1", port = tls_ports.good, nodelay = true }
  server:onerror(quiet)
  server:setmode("b", "b")
  loop:wrap(function()
    for bytes in function() return socket:xread(-4096) end do server:xwrite(bytes, "bn") end
    server:shutdown("rw")
  end)
  local left = options.cut
  while left > 0 do
    local bytes = server:xread(-left)
    if not bytes then break end
    socket:xwrite(bytes, "bn")
    left = left - #bytes
  end
  if not options.close then wait_for_end(server) end -- what it says is read, and not passed on
  socket:shutdown("rw")
end

-- Listening ----------------------------------------------------------------------------------------------------------

-- Serves each connection on a port of its own, over TLS where there is a context; returns the port.
local function listen(serve, context)
  local listener = assert(cs.listen { host = "127.0.0.1", port = 0, nodelay = true })
  listener:onerror(quiet)
  assert(listener:listen())
  loop:wrap(function()
    while true do
      local socket = listener:accept({ nodelay = true })
      if not socket then break end
      count.accepted = count.accepted + 1
      socket:onerror(quiet)
      socket:setmode("b", "b")
      socket:setmaxline(65536)
      loop:wrap(function()
        if not context or socket:starttls(context, 10) then serve(socket) else socket:close() end
      end)
    end
  end)
  return (select(3, listener:localname()))
end

-- Control ------------------------------------------------------------------------------------------------------------

local known_options = { "delay", "drip", "repeat", "close", "reset", "blunt", "cut" }
for _, option in ipairs(known_options) do known_options[option] = true end
local controls = {}

local function own_ports_of(name, options)
  local serve = options.reset and serve_reset or options.blunt and serve_blunt or options.cut and serve_cut
  if not serve then return nil end
  local function serve_name(socket) serve(socket, name) end
  local ports = own_ports[name] or { http = listen(serve_name) }
  ports.https = ports.https or (options.reset and home and listen(serve_name, contexts.good)) or ports.http
  own_ports[name] = ports
  return ports
end

-- Returns the behaviour's own ports, if it needs some.
local function set(name, raw, options)
  for option in pairs(options) do
    if not known_options[option] then error("unknown option " .. option) end
    options[option] = tonumber(options[option]) or error("option " .. option .. " is not a number")
  end
  behaviours[name] = { raw = raw, options = options }
  return own_ports_of(name, options)
end

function controls.__set(request)
  local query = read_query(request.path)
  local name = query.name
  query.name = nil
  if not name then return 400, { error = "no name" } end
  local ok, ports = pcall(set, name, request.body, query)
  if not ok then return 400, { error = ports } end
  return 200, ports or {}
end

function controls.__set_all(request)
  local all_ports = {}
  for _, behaviour in ipairs(cjson.decode(request.body)) do
    all_ports[behaviour.name] = set(behaviour.name, behaviour.raw, behaviour.options or {})
  end
  return 200, all_ports
end

function controls.__log() return 200, #log > 0 and log or cjson.empty_array or {} end

function controls.__count() return 200, count end

function controls.__clear()
  log = {}
  count.accepted, count.connections, count.peak = 0, 0, count.in_progress
  return 200, {}
end

local function control(socket, request)
  local status, body = controls[request.behaviour](request)
  return send(socket, plain(status, cjson.encode(body), "Connection: close\r\n"))
end

local function serve(socket)
  local connection, keep
  repeat
    local request = read_request(socket)
    if not request then break end
    if controls[request.behaviour] then
      control(socket, request)
      break
    end
    keep, connection = counted(request, connection, function() return answer(socket, request) end)
  until not keep
  if connection then count.open = count.open - 1 end
  socket:close()
end

local lines = {}
if home then
  local authority = certificates.authority()
  certificates.write(authority, home .. "/ca.pem")
  for _, kind in ipairs(certificates.kinds) do
    contexts[kind] = certificates.context(authority, kind)
    tls_ports[kind] = listen(serve, contexts[kind])
    lines[#lines + 1] = ("TLS %s %d"):format(kind, tls_ports[kind])
  end
end
lifeline.serve(listen(serve), loop, lines)
