-- The examples: each is run as a user would run it, against the sandbox.

local support = require "spec.support.server"
local voicecredits = require "voicecredits"

local lua = os.getenv "LUA" or "lua5.4"
local version = os.getenv "LUA_VERSION" or _VERSION:match "%d%.%d"
local abi = _VERSION:match "%d%.%d"

-- Debian installs copas for 5.1 and 5.2 only; it runs under every later version from there.
local lua_path = package.path .. ";" .. package.path:gsub("/lua/" .. abi:gsub("%.", "%%.") .. "/", "/lua/5.1/")

local sandbox, accounts
setup(function()
  sandbox = support.sandbox { delay = 0.3 }
  accounts = {}
  for _, provider in ipairs(voicecredits.providers()) do
    local options = { api_key = "sandbox", base_url = sandbox:url() }
    accounts[#accounts + 1] = tostring(assert(voicecredits.check(provider.name, options)))
  end
end)
teardown(function() sandbox:stop() end)

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

-- Runs a shell line with the sandbox's variables and no others; `keys` replaces some of them. Gives what it wrote to
-- standard output, and to standard error, and its exit status.
local function run(line, keys)
  local script, errors = os.tmpname(), os.tmpname()
  local file = assert(io.open(script, "w"))
  for _, variable in ipairs(sandbox:environment()) do
    file:write(("export %s=%s\n"):format(variable[1], keys and keys[variable[1]] or variable[2]))
  end
  file:write(line, "\n")
  file:close()
  local pipe = assert(io.popen(("env -i PATH=%s timeout 60 sh %s 2>%s; echo status $?")
    :format(quote(os.getenv "PATH"), script, errors)))
  local output = pipe:read "*a"
  pipe:close()
  local error_file = assert(io.open(errors))
  local complaint = error_file:read "*a"
  error_file:close()
  os.remove(script)
  os.remove(errors)
  return output:match "^(.*)status %d+\n$", complaint, tonumber(output:match "status (%d+)\n$")
end

local paths = ("export LUA_PATH=%s LUA_CPATH=%s; "):format(quote(lua_path), quote(package.cpath))

local function run_lua(path, keys) return run(paths .. ("exec %s %s"):format(lua, path), keys) end

-- Why a library cannot be loaded, in one line; nil when it can.
local function missing(library)
  local pipe = assert(io.popen(paths .. ("%s -e 'require %q' 2>&1; echo $?"):format(lua, library)))
  local told = pipe:read "*a"
  pipe:close()
  if told ~= "0\n" then return told:match "[^\n]*" end
end

local function has_all_balances(output)
  for _, line in ipairs(accounts) do assert.truthy(output:find(line .. "\n", 1, true), line .. " in:\n" .. output) end
  local _, count = output:gsub("\n", "")
  assert.equal(#accounts, count, output)
end

describe("examples/", function()
  for name, library in pairs { cqueues = "cqueues", copas = "copas", luv = "luv", game = "socket" } do
    local path = ("examples/%s.lua"):format(name)
    local reason = missing(library)
    if reason then
      pending(("%s.lua: %s"):format(name, reason))
    else
      it(name .. ".lua prints the balances", function()
        local output, complaint, status = run_lua(path)
        assert.equal(0, status, complaint)
        has_all_balances(output)
      end)

      it(name .. ".lua goes on while one provider is slow and another refuses", function()
        local output, complaint, status = run_lua(path, { FISH_API_KEY = "sandbox-slow", SUNO_API_KEY = "wrong" })
        assert.equal(0, status, complaint)
        assert.truthy(output:find("suno/default: authentication", 1, true), output)
        assert.truthy(output:find("fish/default: [^\n]*\n$"), output) -- the last
        local turns = complaint:match "(%d+) turns"
        if turns then assert.is_true(tonumber(turns) > 20, complaint) end
      end)
    end
  end
end)

describe("examples/embed/", function()
  local folder, problem

  setup(function()
    local cjson = ("liblua%s-cjson.so.0"):format(abi)
    local library = version == "jit" and "libluajit-5.1.a" or ("liblua%s.a"):format(version)
    local script = [[
      set -e; folder=$(mktemp -d); echo "FOLDER $folder"
      exec 2>&1
      unset LUA_PATH LUA_CPATH MAKEFLAGS MFLAGS MAKELEVEL
      for name in %s %s; do
        case $(cc -print-file-name=$name) in */*) ;; *) echo "MISSING $name"; exit 1 ;; esac
      done
      mkdir "$folder/source" "$folder/empty"
      cp -r Makefile src lua examples "$folder/source"
      cd "$folder/source"
      incdir=%s
      make -s -j2 static LUA_VERSION=%s ${incdir:+LUA_INCDIR=$incdir}
      archive=build/%s/libvoicecredits.a
      # A host that has functions of its own by the names of ours.
      echo 'int transport_open(void); int transport_open(void) { return 1; }' > host.c
      echo 'int json_decode(void); int json_decode(void) { return transport_open(); }' >> host.c
      sed -i '1i int transport_open(void);' host.c
      if ! command -v objcopy >/dev/null; then : > host.c; fi
      cc -std=c11 -Wall -Wextra -Wpedantic -Wshadow -Werror ${incdir:+-I$incdir} examples/embed/main.c host.c $archive \
        -l:%s -l:%s $(curl-config --libs) -lpthread -lm -ldl -o "$folder/host"
      nm -g --defined-only $archive | sed -n 's/.* T /SYMBOL /p'
      rm -rf "$folder/source"
      echo DONE]]
    local incdir = os.getenv "LUA_INCDIR" or ""
    script = script:format(cjson, library, quote(incdir), version, version, cjson, library)
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write(script)
    file:close()
    local pipe = assert(io.popen("sh " .. path))
    problem = pipe:read "*a"
    pipe:close()
    os.remove(path)
    folder = problem:match "FOLDER (%S+)"
  end)
  teardown(function() os.execute("rm -rf " .. folder) end)

  it("is a C program with all of it inside, which needs nothing on a path", function()
    local lacking = problem:match "MISSING (%S+)"
    if lacking then return pending(lacking .. " is not here") end
    assert.truthy(problem:find("DONE", 1, true), problem)
    local line = ("cd %s/empty && export LUA_PATH=/nowhere/?.lua LUA_CPATH=/nowhere/?.so; exec ../host"):format(folder)
    local output, complaint, status = run(line)
    assert.equal(0, status, complaint)
    has_all_balances(output)
  end)

  it("shows the host no names but the two that open the module", function()
    if problem:find("MISSING", 1, true) then return pending "not built" end
    local names = {}
    for name in problem:gmatch "SYMBOL (%S+)" do names[#names + 1] = name end
    table.sort(names)
    assert.same({ "luaopen_voicecredits", "luaopen_voicecredits_core" }, names)
  end)
end)
