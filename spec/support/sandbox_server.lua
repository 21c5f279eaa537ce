--- The product's sandbox as a process of its own: `sandbox_server.lua [delay]`. See server.lua.

local folder = arg[0]:match("^(.*/)") or "./"
package.path = folder .. "?.lua;" .. folder .. "../../lua/?.lua;" .. folder .. "../../lua/?/init.lua;" .. package.path

local cqueues = require "cqueues"
local lifeline = require "lifeline"
local sandbox = require "voicecredits.sandbox"

local server = assert(sandbox.open { delay = tonumber(arg[1]) })
local loop = cqueues.new()
loop:wrap(function() server:run() end)

local lines = {}
for _, variable in ipairs(server:environment()) do
  lines[#lines + 1] = ("ENV %s %s"):format(variable[1], variable[2])
end
lifeline.serve(server.port, loop, lines)
