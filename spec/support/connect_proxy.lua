--- A proxy that writes down every byte it is sent: `connect_proxy.lua FOLDER STATUS`. See server.lua.
--
-- FOLDER/seen has all that clients have sent, what goes through a tunnel included. A CONNECT is answered with STATUS, and
-- with a tunnel where that is 200; everything else with 502.

local folder = arg[0]:match("^(.*/)") or "./"
package.path = folder .. "?.lua;" .. package.path

local cqueues = require "cqueues"
local cs = require "cqueues.socket"
local lifeline = require "lifeline"

local home, status = arg[1], arg[2]
local seen = assert(io.open(home .. "/seen", "ab"))
local loop = cqueues.new()

local function quiet(_, _, why) return why end

local function note(bytes)
  seen:write(bytes)
  seen:flush()
end

local function prepare(socket)
  socket:onerror(quiet)
  socket:setmode("b", "b")
  return socket
end

local function read_head(socket)
  local lines = {}
  repeat
    local line = socket:xread("*L")
    if not line then return nil end
    note(line)
    lines[#lines + 1] = line
  until line == "\r\n"
  return table.concat(lines)
end

local function relay(from, to, watch)
  while true do
    local bytes = from:xread(-4096)
    if not bytes then break end
    if watch then watch(bytes) end
    if not to:xwrite(bytes, "bn") then break end
  end
  to:shutdown "w"
end

local function serve(client)
  local head = read_head(client)
  local host, port = (head or ""):match "^CONNECT ([^%s:]+):(%d+) "
  if host and status == "200" then
    local server = prepare(cs.connect { host = host, port = tonumber(port) })
    client:xwrite("HTTP/1.1 200 Connection established\r\n\r\n", "bn")
    loop:wrap(relay, server, client)
    relay(client, server, note)
  elseif head then
    client:xwrite(("HTTP/1.1 %s Test\r\nContent-Length: 0\r\n\r\n"):format(host and status or 502), "bn")
    client:close()
  end
end

local listener = assert(cs.listen { host = "127.0.0.1", port = 0 })
assert(listener:listen())
loop:wrap(function()
  while true do
    local socket = listener:accept { nodelay = true }
    if socket then loop:wrap(serve, prepare(socket)) end
  end
end)
lifeline.serve(select(3, listener:localname()), loop)
