-- Balances in a game: 60 frames a second, and in each one look at what has finished. No frame waits for a server.
-- Keys come from the environment: FISH_API_KEY and its like (`voicecredits providers` lists them).

local socket = require "socket" -- for its clock; a game has its own
local voicecredits = require "voicecredits"

local FRAME = 1 / 60

local has_term, term = pcall(require, "term")
local on_terminal = has_term and term.isatty(io.stdout)

-- The session is opened once, when the game starts: that is what costs the most.
local session = assert(voicecredits.session())
for _, provider in ipairs(voicecredits.providers()) do
  if os.getenv(provider.key_variable) then
    local id, failure = session:submit(provider.name, { timeout = 5 })
    if not id then print(failure) end
  end
end

local function update()
  local id, balance, failure = session:next() -- never waits
  if id then print(balance or failure) end
end

local function draw(frame)
  if not on_terminal then return end
  local place = frame % 40
  io.write(("\r%s@%s  %d to come\r"):format((" "):rep(place), (" "):rep(40 - place), session:pending()))
  io.flush()
end

local frame, due = 0, socket.gettime()
while session:pending() > 0 do
  update()
  draw(frame)
  frame, due = frame + 1, due + FRAME
  socket.sleep(math.max(0, due - socket.gettime()))
end
session:close()
