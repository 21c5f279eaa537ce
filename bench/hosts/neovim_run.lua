-- Measures what the plugin costs Neovim: `lua5.4 bench/hosts/neovim_run.lua [rounds]`, from the repository's root,
-- after `make LUA_VERSION=jit`. neovim.lua is what it has Neovim do.

local support = require "spec.support.server"
local editor = require "spec.support.nvim.editor"

local rounds = tonumber(arg[1]) or 200
local body = '{"_id":"a","user_id":"b","credit":"12.340000","created_at":"2026-01-01T00:00:00Z",'
  .. '"updated_at":"2026-01-01T00:00:00Z"}'
local folder = editor.folder()
local servers, addresses = {}, {}
local hanging = support.raw_server()

local function run(what, files)
  local command = ("env -i PATH='%s' HOME=%s WHAT=%s ROUNDS=%d CA_FILE=%s ADDRESSES='%s' timeout 600 nvim --headless "
    .. "-i NONE -n -u NONE --cmd 'set runtimepath^=%s,%s' -c 'luafile %s/bench/hosts/neovim.lua' </dev/null 2>&1")
    :format(os.getenv "PATH", folder.home, what, rounds, files.ca, table.concat(addresses, " "), folder.runtime,
      editor.root, editor.root)
  local pipe = assert(io.popen(command))
  local text = pipe:read "*a"
  if not pipe:close() then error("Neovim ended with an error:\n" .. text, 0) end
  return text
end

local function summary(list)
  table.sort(list)
  return ("median %.2f, max %.2f ms"):format(list[math.ceil(#list / 2)], list[#list])
end

-- Each host has an authority of its own: one file with all of them.
local function start_servers()
  local ca = folder.home .. "/ca.pem"
  for i = 1, 3 do
    servers[i] = support.tls_server { body = body }
    addresses[i] = servers[i].url
    assert(os.execute(("cat %s >>%s"):format(servers[i].ca_file, ca)))
  end
  addresses[4] = "https://127.0.0.1:" .. hanging.port -- waits for the end of a line that no handshake has
  addresses[5] = "https://127.0.0.1:1"
  return { ca = ca }
end

local function measure()
  local files = start_servers()
  print(("Neovim, %d rounds of five https checks to hosts met for the first time: one hangs, one is refused")
    :format(rounds))
  io.write(run("rounds", files))
  local quiet, first, quiet_work, first_work, module, plugin = {}, {}, {}, {}, {}, {}
  for i = 1, math.min(rounds, 50) do
    local a, b, c, d = run("first", files):match "([%d.]+) ([%d.]+) ([%d.]+) ([%d.]+)"
    quiet[i], first[i], quiet_work[i], first_work[i] = tonumber(a), tonumber(b), tonumber(c), tonumber(d)
    a, b = run("require", files):match "([%d.]+)%s+([%d.]+)"
    module[i], plugin[i] = tonumber(a), tonumber(b)
  end
  print(("latest tick in a new process, no checks:               %s"):format(summary(quiet)))
  print(("latest tick in a new process, loading, five checks:    %s"):format(summary(first)))
  print(("longest work in a new process, no checks:              %s"):format(summary(quiet_work)))
  print(("longest work in a new process, loading, five checks:   %s"):format(summary(first_work)))
  print(("require 'voicecredits':      %s\nrequire 'voicecredits.nvim': %s"):format(summary(module), summary(plugin)))
end

local ok, problem = pcall(measure)
for _, server in ipairs(servers) do server:stop() end
hanging:stop()
folder.remove()
if not ok then
  io.stderr:write(tostring(problem), "\n")
  os.exit(1)
end
