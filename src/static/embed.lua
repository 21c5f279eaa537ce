-- Writes Lua files as C source: embed.lua FILE ... > parts.h
-- Each becomes an array of bytes (some compilers limit how long a string may be) and a line in the table of modules.

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

-- lua/voicecredits/init.lua -> voicecredits, lua/voicecredits/cli.lua -> voicecredits.cli
local function module_of(path)
  local inner = assert(path:match "^lua/(.*)%.lua$", path .. " is not a file under lua/")
  return (inner:gsub("/init$", ""):gsub("/", "."))
end

local function write_bytes(index, text)
  io.write(("static const unsigned char part_%d[] = {"):format(index))
  for position = 1, #text do
    if position % 32 == 1 then io.write "\n    " end
    io.write(text:byte(position), ",")
  end
  io.write "\n};\n\n"
end

io.write "/* Made by embed.lua from the Lua files: change those. */\n\n"
local lines = {}
for index, path in ipairs(arg) do
  write_bytes(index, read(path))
  lines[index] = ('    {"%s", "@%s", part_%d, sizeof part_%d},\n')
    :format(module_of(path), path:gsub("^lua/", ""), index, index)
end
io.write("static const struct part parts[] = {\n", table.concat(lines), "    {NULL, NULL, NULL, 0},\n};\n")
