-- Makes the picture of the README: runs the command on a pseudo-terminal against the sandbox, and draws what a terminal
-- would show. From the repository's root, after `make`: lua5.4 doc/picture.lua > doc/terminal.svg

local LUA = os.getenv("LUA") or "lua5.4"

-- What is shown at the prompt, and what runs for it.
local scenes = {
  { shown = "voicecredits", runs = LUA .. " bin/voicecredits" },
  { shown = "voicecredits guard fish --min 20 || echo not started",
    runs = LUA .. " bin/voicecredits guard fish --min 20 || echo not started" },
}

-- Running ------------------------------------------------------------------------------------------------------------

-- Returns what stops it, and its variables as the words of `env`.
local function start_sandbox()
  local pipe = assert(io.popen("echo $$; exec " .. LUA .. " bin/voicecredits sandbox --port 0 2>&1", "r"))
  local pid, variables = pipe:read("*l"), {}
  for line in pipe:lines() do
    variables[#variables + 1] = line:match("^ *export (%S+)$")
    if line:find("sandbox-slow", 1, true) then break end
  end
  local function stop()
    os.execute("kill " .. pid)
    pipe:close()
  end
  if #variables == 0 then
    stop()
    error("the sandbox did not start")
  end
  return stop, table.concat(variables, " ")
end

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local function run(command, variables)
  local inner = ("env -i PATH=\"$PATH\" TERM=xterm-256color %s sh -c %s"):format(variables, quote(command))
  local pipe = assert(io.popen("SHELL=/bin/sh script -qec " .. quote(inner) .. " /dev/null </dev/null", "r"))
  local output = pipe:read("*a")
  pipe:close()
  return output
end

-- A very small terminal ----------------------------------------------------------------------------------------------

local Screen = {}
Screen.__index = Screen

local function new_screen() return setmetatable({ lines = { {} }, column = 1, style = "" }, Screen) end

function Screen:put(character)
  local line = self.lines[#self.lines]
  for column = #line + 1, self.column - 1 do line[column] = { " ", "" } end
  line[self.column] = { character, self.style }
  self.column = self.column + 1
end

function Screen:new_line()
  self.lines[#self.lines + 1] = {}
  self.column = 1
end

function Screen:control(arguments, letter)
  if letter == "m" then
    self.style = arguments == "0" and "" or arguments
  elseif letter == "K" then
    local line = self.lines[#self.lines]
    for column = #line, self.column, -1 do line[column] = nil end
  else
    error("the command sent a sequence that this terminal does not know: " .. letter)
  end
end

function Screen:write(text)
  local at = 1
  while at <= #text do
    local _, last, arguments, letter = text:find("^\27%[([%d;]*)(%a)", at)
    local character = text:match("^[%z\1-\127\194-\244][\128-\191]*", at)
    if last then
      self:control(arguments, letter)
    elseif character == "\n" then
      self:new_line()
    elseif character == "\r" then
      self.column = 1
    else
      self:put(character)
    end
    at = (last or at + #character - 1) + 1
  end
end

local function film(variables)
  local screen = new_screen()
  for i, scene in ipairs(scenes) do
    if i > 1 then screen:new_line() end
    screen:write("\27[2m$\27[0m \27[1m" .. scene.shown .. "\27[0m\n")
    screen:write(run(scene.runs, variables))
  end
  while #screen.lines[#screen.lines] == 0 do table.remove(screen.lines) end
  return screen.lines
end

-- Drawing ------------------------------------------------------------------------------------------------------------

local SIZE, ADVANCE, LEADING, MARGIN, BAR = 14, 8.43, 21, 22, 38

local attributes = {
  [""] = 'fill="#d7dce5"', ["1"] = 'fill="#f4f6fa" font-weight="bold"', ["2"] = 'fill="#7f8896"',
  ["31"] = 'fill="#f2777a"', ["33"] = 'fill="#f0c674"', ["1;32"] = 'fill="#8fd694" font-weight="bold"',
}

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }

-- Runs of one style, cut where columns part. Each has its place and its length, so that columns line up with any font.
local function runs_of(line)
  local runs, run_now = {}, nil
  for column, cell in ipairs(line) do
    local gap = cell[1] == " " and (not line[column + 1] or line[column + 1][1] == " ")
    if gap then
      run_now = nil
    elseif run_now and run_now.style == cell[2] then
      run_now.text = run_now.text .. cell[1]
    elseif cell[1] == " " then
      run_now = nil
    else
      run_now = { text = cell[1], style = cell[2], column = column }
      runs[#runs + 1] = run_now
    end
  end
  return runs
end

local function draw_line(line, y, out)
  for _, one in ipairs(runs_of(line)) do
    local attribute = attributes[one.style] or error("no colour is known for style " .. one.style)
    local _, characters = one.text:gsub("[^\128-\191]", "")
    out[#out + 1] = ('  <text x="%.1f" y="%d" textLength="%.1f" lengthAdjust="spacingAndGlyphs" %s>%s</text>'):format(
      MARGIN + (one.column - 1) * ADVANCE, y, characters * ADVANCE, attribute, (one.text:gsub("[&<>]", entities)))
  end
end

local function draw(lines)
  local columns = 0
  for _, line in ipairs(lines) do columns = math.max(columns, #line) end
  local width, height = math.ceil(columns * ADVANCE + 2 * MARGIN), #lines * LEADING + BAR + MARGIN
  local out = {
    ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img"')
      :format(width, height, width, height),
    '  aria-label="The balances of five accounts, as the command shows them in a terminal"',
    ('  font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="%d">')
      :format(SIZE),
    ('  <rect width="%d" height="%d" rx="9" fill="#1d2129"/>'):format(width, height),
    ('  <path d="M0 %d V9 a9 9 0 0 1 9 -9 H%d a9 9 0 0 1 9 9 V%d Z" fill="#2a303b"/>')
      :format(BAR - 10, width - 9, BAR - 10),
  }
  for i, colour in ipairs { "#ec6a5e", "#f4bf4f", "#61c554" } do
    out[#out + 1] = ('  <circle cx="%d" cy="14" r="5.5" fill="%s"/>'):format(MARGIN - 4 + (i - 1) * 19, colour)
  end
  for i, line in ipairs(lines) do draw_line(line, BAR + i * LEADING - 4, out) end
  out[#out + 1] = "</svg>"
  return table.concat(out, "\n") .. "\n"
end

local stop, variables = start_sandbox()
local filmed, lines = pcall(film, variables)
stop()
if not filmed then error(lines, 0) end
io.stdout:write(draw(lines))
