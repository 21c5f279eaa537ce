--- An https server with certificates made on the spot: `tls_server.lua FOLDER CERTIFICATE STATUS`. See server.lua.
--
-- FOLDER/body is what it answers to every request, FOLDER/ca.pem is what it writes before it listens, and the heads of
-- the requests that came through go to FOLDER/requests. CERTIFICATE is one of the kinds of certificates.lua.

local folder = arg[0]:match("^(.*/)") or "./"
package.path = folder .. "?.lua;" .. package.path

local certificates = require "certificates"
local cqueues = require "cqueues"
local cs = require "cqueues.socket"
local lifeline = require "lifeline"

local home, kind, status = arg[1], arg[2], tonumber(arg[3])

local function new_context()
  local authority = certificates.authority()
  certificates.write(authority, home .. "/ca.pem")
  return certificates.context(authority, kind)
end

-- Serving ------------------------------------------------------------------------------------------------------------

local body_file = assert(io.open(home .. "/body", "rb"))
local body = body_file:read("*a")
body_file:close()
local response = ("HTTP/1.1 %d Test\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s")
  :format(status, #body, body)
local requests = assert(io.open(home .. "/requests", "ab"))

local function read_head(socket)
  local lines = {}
  repeat
    local line = socket:xread("*L")
    if not line then return nil end
    lines[#lines + 1] = line
  until line == "\r\n"
  return table.concat(lines)
end

local function quiet(_, _, why) return why end

-- A client that does not like the certificate ends the handshake: that is what it is here for.
local function serve(socket, server_context)
  if socket:starttls(server_context, 10) then
    for head in function() return read_head(socket) end do
      requests:write(head)
      requests:flush()
      if not socket:xwrite(response, "bn") then break end
    end
  end
  socket:close()
end

local loop = cqueues.new()
local server_context = new_context()
local listener = assert(cs.listen { host = "127.0.0.1", port = 0 })
assert(listener:listen())
loop:wrap(function()
  while true do
    local socket = listener:accept({ nodelay = true })
    socket:onerror(quiet)
    socket:setmode("b", "b")
    loop:wrap(serve, socket, server_context)
  end
end)
lifeline.serve(select(3, listener:localname()), loop)
