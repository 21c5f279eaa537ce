-- The module as others get it: make install, LuaRocks, and a build that lacks something.

local lua = os.getenv "LUA" or "lua5.4"
local version = (os.getenv "LUA_VERSION") or _VERSION:match "%d%.%d"
local abi = _VERSION:match "%d%.%d"

-- Runs a shell script in a fresh copy of the sources and an empty folder, "$tree"; gives its output and exit status.
local function run(script)
  local pipe = assert(io.popen([[
    set -e; tree=$(mktemp -d); trap 'rm -rf "$tree"' EXIT; mkdir "$tree/source"
    cp -r Makefile *.rockspec README.md src lua bin doc "$tree/source"; cd "$tree/source"
    unset LUA_PATH LUA_CPATH MAKEFLAGS MFLAGS MAKELEVEL
    exec 2>&1
    ]] .. script .. "\necho; echo finished", "r"))
  local output = pipe:read "*a"
  pipe:close()
  return output, output:find("\nfinished\n", 1, true) ~= nil
end

-- A check that fails without a network, an exit in the middle of one, and the command, from an installed tree.
local use = ([[
    export LUA_PATH="$share/?.lua;$share/?/init.lua;;" LUA_CPATH="$lib/?.so;;"
    cd /
    %s -e 'print(select(2, require "voicecredits".suno { api_key = "key", base_url = "http://127.0.0.1:1", retries = 0 }).kind)'
    for close in true false; do
      %s -e 'local s = require "voicecredits".session() s:submit("suno", { api_key = "key", base_url = "https://nowhere.invalid" })
        os.exit(0, '$close')'
    done
    $bare "$command" providers]]):format(lua, lua)

describe("make install", function()
  it("puts all of it under DESTDIR and PREFIX, and it works from there", function()
    local output, finished = run(([[
      make -s install LUA_VERSION=%s DESTDIR="$tree/root" PREFIX=/opt/vc
      make -s install LUA_VERSION=%s PREFIX="$tree/own"
      share="$tree/own/share/lua/%s" lib="$tree/own/lib/lua/%s" command="$tree/root/opt/vc/bin/voicecredits"
      bare="env -u LUA_PATH -u LUA_CPATH" # the command finds its own modules
      ls "$tree/root/opt/vc/lib/lua/%s/voicecredits/core.so"
      ]] .. use .. [[

      cd "$tree/source" && make -s uninstall LUA_VERSION=%s PREFIX="$tree/own"; find "$tree/own" -type f]]):format(version, version, abi, abi, abi, version))
    assert.is_true(finished, output)
    assert.truthy(output:find("\nnetwork\n", 1, true), output)
    assert.truthy(output:find("supertone", 1, true), output)
    assert.is_nil(output:find("own/", 1, true), output)
  end)
end)

describe("LuaRocks", function()
  it("builds and installs the rock, and it works from its tree", function()
    local output, finished = run(([[
      luarocks --lua-version %s make --deps-mode=none --tree "$tree/rocks" >"$tree/log" 2>&1 || { cat "$tree/log"; exit 1; }
      share="$tree/rocks/share/lua/%s" lib="$tree/rocks/lib/lua/%s" command="$tree/rocks/bin/voicecredits" bare=""
      ]] .. use):format(abi, abi, abi))
    assert.is_true(finished, output)
    assert.truthy(output:find("network\n", 1, true), output)
    assert.truthy(output:find("supertone", 1, true), output)
  end)
end)

describe("make", function()
  it("says in one line which header is missing", function()
    local output = run(("make -s LUA_VERSION=%s LUA_INCDIR=/nowhere && exit 1"):format(version))
    assert.truthy(output:find("make: <lua.h> was not found", 1, true), output)
    assert.is_nil(output:find("error:", 1, true), output)
  end)

  it("does nothing the second time", function()
    local output, finished = run(("make -s LUA_VERSION=%s; make LUA_VERSION=%s"):format(version, version))
    assert.is_true(finished, output)
    assert.truthy(output:find("up to date", 1, true), output)
  end)
end)
