--- What every helper of the tests does with files and with the shell.

local files = {}

--- A word as the shell reads it back.
---@param text any
---@return string
function files.quote(text) return "'" .. tostring(text):gsub("'", "'\\''") .. "'" end

--- The whole of a file.
---@param path string
---@return string
function files.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

--- The whole of a file; "" where there is none, or it cannot be read any more (/proc).
---@param path string
---@return string
function files.peek(path)
  local file = io.open(path, "rb")
  if not file then return "" end
  local text = file:read("*a")
  file:close()
  return text or ""
end

---@param path string
---@param text string
function files.write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

--- The lines that a shell command prints.
---@param command string
---@return string[]
function files.lines_of(command)
  local pipe = assert(io.popen(command, "r"))
  local lines = {}
  for line in pipe:lines() do lines[#lines + 1] = line end
  pipe:close()
  return lines
end

return files
