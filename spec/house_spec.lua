-- The house keeps its order: who may know whom, what is public is described, and each list that stands twice says the same.

local function read(path)
  local file = assert(io.open(path, "rb"), path)
  local text = file:read "*a"
  file:close()
  return text
end

local function list(command)
  local found = {}
  local pipe = assert(io.popen(command))
  for line in pipe:lines() do found[#found + 1] = line end
  pipe:close()
  return found
end

local function includes(path)
  local found = {}
  for name in read(path):gmatch '#include ["<]([^">]+)[">]' do found[name:match "[^/]+$"] = true end
  return found
end

-- All headers of ours that a file sees, those that its headers see included.
local function sees(path, seen)
  seen = seen or {}
  for name in pairs(includes(path)) do
    if not seen[name] then
      seen[name] = true
      local own = io.open("src/" .. name)
      if own then
        own:close()
        sees("src/" .. name, seen)
      end
    end
  end
  return seen
end

local lua_headers = { "lua.h", "lauxlib.h", "lualib.h", "compat.h" }

describe("the rooms of src/", function()
  it("on the transport's side know no Lua", function()
    for _, room in ipairs { "transport", "exchange", "handle", "schedule", "trust", "retry", "response", "request", "text", "dates" } do
      local seen = sees("src/" .. room .. ".c")
      for _, header in ipairs(lua_headers) do assert.is_nil(seen[header], room .. " sees " .. header) end
    end
  end)

  it("of the providers know no curl and no transport", function()
    for _, path in ipairs(list "ls src/providers/*.c") do
      local seen = sees(path)
      for _, header in ipairs { "curl.h", "transport.h", "exchange.h", "session.h", "check.h" } do
        assert.is_nil(seen[header], path .. " sees " .. header)
      end
    end
  end)

  it("know libcurl only where it belongs", function()
    local allowed = { transport = true, exchange = true, handle = true, trust = true, request = true, dates = true }
    for _, path in ipairs(list "ls src/*.c src/*.h src/providers/*") do
      local room = path:match "([^/]+)%.[ch]$"
      if not allowed[room] then assert.is_nil(includes(path)["curl.h"], path) end
    end
  end)

  it("have a provider in one file that fits in the eye, and one line in the table", function()
    local table_of_providers = read "src/provider.c"
    for _, path in ipairs(list "ls src/providers/*.c") do
      local name = path:match "([^/]+)%.c$"
      local _, lines = read(path):gsub("\n", "")
      assert.is_true(lines <= 160, path .. " has " .. lines .. " lines")
      assert.truthy(table_of_providers:find("&provider_" .. name .. ",", 1, true))
    end
  end)
end)

describe("what is public", function()
  local types = read "lua/voicecredits/types.lua"
  local voicecredits = require "voicecredits"

  it("is described in types.lua: every function of the module and every method of a session", function()
    local methods = read "src/session.c":match "luaL_Reg methods%[%] = {(.-)};"
    for name in methods:gmatch '{"(%l+)"' do
      assert.truthy(types:find("function session:" .. name .. "(", 1, true), "session:" .. name)
    end
    for _, name in ipairs { "check", "check_all", "ensure", "request", "parse", "providers", "session" } do
      assert.equal("function", type(voicecredits[name]))
      assert.truthy(types:find("function voicecredits." .. name .. "(", 1, true), name)
    end
    for _, provider in ipairs(voicecredits.providers()) do
      assert.truthy(types:find("function voicecredits." .. provider.name .. "(", 1, true))
      assert.truthy(types:find('"' .. provider.name .. '"', 1, true))
    end
  end)

  it("is described in types.lua: every option and every kind of failure", function()
    local options = read "src/options.c":match "common_names%[%] = {(.-)};"
    for name in options:gmatch '"([%l_]+)"' do assert.truthy(types:find("---@field " .. name .. "?", 1, true), name) end
    for name in read "src/providers/fish.c":gmatch '{"([%l_]+)", OPTION_' do
      assert.truthy(types:find("---@field " .. name .. "?", 1, true), name)
    end
    for kind in read "src/failure.c":match "kind_names%[%] = {(.-)};":gmatch '"([%l_]+)"' do
      if kind ~= "none" then assert.truthy(types:find('---| "' .. kind .. '"', 1, true), kind) end
    end
  end)

  it("is described in the README: every kind, every option, every variable, every command", function()
    local readme = read "README.md"
    for kind in types:gmatch '%-%-%-| "([%l_]+)"' do assert.truthy(readme:find("`" .. kind .. "`", 1, true), kind) end
    for name in read "src/options.c":match "common_names%[%] = {(.-)};":gmatch '"([%l_]+)"' do
      assert.truthy(readme:find("`" .. name .. "`", 1, true), name)
    end
    for _, provider in ipairs(voicecredits.providers()) do
      for _, field in ipairs { "title", "key_variable", "unit" } do assert.truthy(readme:find(provider[field], 1, true), provider[field]) end
    end
    for _, command in ipairs { "check", "guard", "providers", "sandbox" } do
      assert.truthy(readme:find("voicecredits " .. command, 1, true), command)
    end
  end)
end)

describe("doc/hosts.md", function()
  it("shows nothing that does not stand in a file that the tests run", function()
    local count = 0
    for path, snippet in read "doc/hosts.md":gmatch "<!%-%- ([%w_./]+) %-%->\n```%l+\n(.-)\n```" do
      local text = read(path):gsub('\\n"\n%s*"', "\n"):gsub('"local rows', "local rows"):gsub('\\n"', "\n")
      assert.truthy(text:find(snippet, 1, true), path .. " has no\n" .. snippet)
      count = count + 1
    end
    local _, blocks = read "doc/hosts.md":gsub("\n```%l+\n", "")
    assert.equal(blocks, count)
  end)
end)

describe("a list that stands twice says the same:", function()
  it("the rockspec names every source file and every Lua module", function()
    local rockspec = read "voicecredits-scm-1.rockspec"
    for _, path in ipairs(list "ls src/*.c src/providers/*.c lua/voicecredits/*.lua lua/voicecredits/nvim/*.lua") do
      assert.truthy(rockspec:find('"' .. path .. '"', 1, true), path)
    end
  end)

  it("doc/architecture.md names every file of src/ and lua/", function()
    local architecture = read "doc/architecture.md"
    for _, path in ipairs(list "ls src/*.[ch] lua/voicecredits/*.lua lua/voicecredits/nvim/*.lua") do
      local name = path:match "[^/]+$"
      local room = name:gsub("%.h$", ".c")
      assert.truthy(architecture:find(name, 1, true) or architecture:find(room, 1, true), path)
    end
  end)

  it("the version stands in version.h alone", function()
    local version = require "voicecredits"._VERSION
    assert.truthy(read "src/version.h":find('"' .. version .. '"', 1, true))
    local others = list("grep -rlF '" .. version .. "' src lua bin | grep -v src/version.h")
    assert.same({}, others)
  end)
end)
