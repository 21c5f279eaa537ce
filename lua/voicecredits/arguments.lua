-- The command line: words in, a request out, or one line that says what is wrong with them.

local arguments = {}

local usages = {
  check = "voicecredits [check] [PROVIDER[/ACCOUNT] ...] [--format table|json] [--timeout S]",
  guard = "voicecredits guard PROVIDER[/ACCOUNT] --min N [--fail-open]",
  providers = "voicecredits providers [--format table|json]",
  sandbox = "voicecredits sandbox [--port N]",
}
local commands = { "check", "guard", "providers", "sandbox" }
local formats = { "table", "json" }

local LONGEST_TIMEOUT = 86400 -- seconds; more is a slip of the hand

local function nearest(word, valid) return require "voicecredits.core".nearest(word, valid) end

-- Wrong words --------------------------------------------------------------------------------------------------------

--- A wrong word as a message shows it, if it can be nothing but a slip: a long one, or one with other characters than
--- names are made of, may be a key that was typed in the wrong place, and messages end in logs.
---@param word string
---@return string
function arguments.shown(word) return require "voicecredits.core".shown(word) end

local function unknown(what, word, valid)
  return ("unknown %s%s, the nearest is '%s'"):format(what, arguments.shown(word), nearest(word, valid))
end

-- Values of options --------------------------------------------------------------------------------------------------

local function read_format(word)
  for _, format in ipairs(formats) do
    if word == format then return format end
  end
  return nil, unknown("format", word, formats) .. " (--format table or --format json)"
end

-- Decimal digits and nothing else: tonumber alone would take "0x10", "1e3" and, on some versions, "inf".
local function decimal(word)
  local plain = word:find("^%d+%.?%d*$") or word:find("^%.%d+$")
  return plain and #word <= 30 and tonumber(word) or nil
end

local function read_timeout(word)
  local seconds = decimal(word)
  if seconds and seconds > 0 and seconds <= LONGEST_TIMEOUT then return seconds end
  return nil, ("option '--timeout' must be a number of seconds, more than 0 and at most %d"):format(LONGEST_TIMEOUT)
end

local function read_minimum(word)
  local minimum = decimal(word)
  if minimum then return { number = minimum, text = word } end
  return nil, "option '--min' must be a number such as 5 or 0.5"
end

local function read_port(word)
  local port = word:find("^%d+$") and #word <= 5 and tonumber(word)
  if port and port <= 65535 then return port end
  return nil, "option '--port' must be a whole number from 0 (any free port) to 65535"
end

-- The parser ---------------------------------------------------------------------------------------------------------

local exit_statuses = [[
Exit status: check 0 all answered, 1 one or more failed; guard 0 enough, 1 too little or unknown, 69 could not be
checked; any command 64 wrong usage, 69 something it needs is missing, 70 an error of its own, 74 the output could not
be written, 78 wrong configuration.]]

local accounts_help = "fish, or fish/default: accounts come from the environment and are called default"

local function add_format(command)
  command:option("--format", "table for people, json for programs (without the raw answers and personal data)")
    :argname("FORMAT"):default("table"):convert(read_format):show_default(false)
end

local function add_check(parser)
  local command = parser:command("check", "Shows the balances of all accounts, or of those named. This is the default.")
  command:argument("account", accounts_help):args("*"):argname("PROVIDER[/ACCOUNT]")
  add_format(command)
  command:option("--timeout", "seconds that each account may take, 10 when not given")
    :argname("S"):convert(read_timeout)
  return command
end

local function add_guard(parser)
  local command = parser:command("guard", "Succeeds only where enough is left: for scripts, before they spend it.")
  command:argument("account", accounts_help):args(1):argname("PROVIDER[/ACCOUNT]")
  command:option("--min", "the least that must be left, in the account's unit")
    :argname("N"):count(1):convert(read_minimum)
  command:flag("--fail-open", "succeed, and say so, where the account could not be checked")
  return command
end

local function add_providers(parser)
  local command = parser:command("providers", "Lists the providers and the variables of their keys.")
  add_format(command)
  return command
end

local function add_sandbox(parser)
  local command = parser:command("sandbox", "Plays all providers on this machine, for trying out without a key.")
  command:option("--port", "the port of 127.0.0.1, any free one when not given"):argname("N"):convert(read_port)
  return command
end

-- Help and version are declared for the help text only: argparse would leave the program on its own, or ask for what
-- else is missing first. They are found before it parses.
local function describe_help(parser)
  parser:add_help(false)
  parser:flag("-h --help", "Show this help and exit.")
end

local function new_parser()
  local parser = require "argparse"("voicecredits", "Shows the remaining credits of voice-AI accounts.", exit_statuses)
  describe_help(parser)
  parser:flag("--version", "Show the version and exit.")
  parser:command_target("command")
  local made = {}
  for _, add in ipairs { add_check, add_guard, add_providers, add_sandbox } do
    local command = add(parser)
    describe_help(command)
    made[command._name] = command:usage("Usage: " .. usages[command._name])
  end
  parser:usage("Usage: " .. usages.check .. "\n       " .. usages.guard .. "\n       " .. usages.providers
    .. "\n       " .. usages.sandbox)
  return parser, made
end

-- Reading ------------------------------------------------------------------------------------------------------------

local function is_help(word) return word == "-h" or word == "--help" end

local function asks_for_help(words)
  for _, word in ipairs(words) do
    if word == "--" then return false end
    if is_help(word) then return true end
  end
  return false
end

-- What the words after the name "voicecredits" begin with decides: a command, or else they are those of a check.
local function split(words)
  local rest = {}
  for index, word in ipairs(words) do rest[index] = word end
  for _, command in ipairs(commands) do
    if words[1] == command then return command, rest end
  end
  table.insert(rest, 1, "check")
  return "check", rest
end

-- argparse knows the wrong option's name, but looks no further than one letter for the right one.
local function explain(message, command)
  local option = message:match("^unknown option '(.-)'")
  if not option then return (message:gsub("\n", " ")) end
  if option:find("^%-[%d.]") then return "no option takes a negative number" end
  if option:lower():find("key", 1, true) or option:lower():find("token", 1, true) then
    return "a key is never taken from the command line, where every user of the machine can read it: it comes from the "
      .. "environment ('voicecredits providers' lists the variables)"
  end
  local valid = {}
  for _, known in ipairs(command._options) do
    for _, name in ipairs(known._aliases) do
      if name:sub(1, 2) == "--" then valid[#valid + 1] = name end
    end
  end
  return unknown("option", option, valid)
end

--- Reads the command line.
---@param words string[]
---@return { command: string, account?: string|string[], format?: string, text?: string }|nil request
---@return string|nil message what is wrong, in one line
---@return string|nil usage of the command that was meant
function arguments.read(words)
  local parser, made = new_parser()
  if words[1] == "--version" then return { command = "version" } end
  if is_help(words[1]) then return { command = "help", text = parser:get_help() } end
  local name, rest = split(words)
  if asks_for_help(rest) then return { command = "help", text = made[name]:get_help() } end
  local parsed, request = parser:pparse(rest)
  if not parsed then return nil, explain(request, made[name]), usages[name] end
  return request
end

--- Reads one PROVIDER[/ACCOUNT].
---@param word string
---@param providers string[] the names that there are
---@return { provider: string, account: string }|nil
---@return string|nil message
function arguments.account(word, providers)
  local name, slash, label = word:match("^([^/]*)(/?)(.*)$")
  for _, provider in ipairs(providers) do
    if name == provider and slash == "/" and label == "" then
      return nil, ("the account's name is missing after '%s/': %s, or %s/default"):format(name, name, name)
    elseif name == provider then
      return { provider = name, account = slash == "/" and label or "default" }
    end
  end
  local valid = {}
  for _, known in ipairs { providers, commands } do
    for _, candidate in ipairs(known) do valid[#valid + 1] = candidate end
  end
  for _, command in ipairs(commands) do
    if word == command then return nil, ("the command '%s' must be the first word"):format(command) end
  end
  return nil, ("%s (providers: %s)"):format(unknown("command or provider", name, valid), table.concat(providers, ", "))
end

--- The usage line of a command.
---@param command string
---@return string
function arguments.usage(command) return usages[command] end

return arguments
