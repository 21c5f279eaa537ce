-- The command: what is asked for, in what order, and which exit status comes of it. arguments.lua reads the words,
-- report.lua makes the text.

local arguments = require "voicecredits.arguments"
local report = require "voicecredits.report"

local cli = {}

-- Those from 64 on are the ones of sysexits.h.
local status = {
  ok = 0,
  failed = 1, -- check: an account could not be read; guard: too little is left
  usage = 64,
  unavailable = 69,
  internal = 70,
  output = 74,
  configuration = 78,
  interrupted = 130, -- as a shell tells of a command that Ctrl-C ended
}

-- Ending early -------------------------------------------------------------------------------------------------------

-- A reason to end that is no bug, raised as an error and told by main.
local Stop = {}

local function stop(code, message) error(setmetatable({ status = code, message = message }, Stop), 0) end

local function stop_for_usage(message, usage) stop(status.usage, ("%s\nusage: %s"):format(message, usage)) end

local function first_line(problem) return (tostring(problem):match("^[^\r\n]*"):gsub(":$", "")) end

-- Ctrl-C, as the interpreter tells of it.
local function is_interrupt(problem)
  return type(problem) == "string" and problem:find("interrupted!", 1, true) ~= nil
end

-- Output -------------------------------------------------------------------------------------------------------------

-- Everything is flushed here: what os.exit flushes may fail and nobody would know.
local function write_out(text)
  local written, problem = io.stdout:write(text)
  if written then written, problem = io.stdout:flush() end
  if not written then stop(status.output, "the output cannot be written: " .. tostring(problem)) end
end

local function write_error(text) io.stderr:write(text, "\n") end

-- Without lua-term nothing is known of the terminal, and plain text is right everywhere.
local function is_terminal(handle)
  local kind = os.getenv("TERM") or ""
  local found, term = pcall(require, "term")
  return found and term.isatty(handle) and kind ~= "" and kind ~= "dumb"
end

local function is_coloured() return (os.getenv("NO_COLOR") or "") == "" and is_terminal(io.stdout) end

-- One line on stderr that is written anew while accounts are out, on a terminal only.
local progress = { shown = false }

function progress.show(rows)
  if progress.enabled == nil then progress.enabled = is_terminal(io.stderr) end
  if not progress.enabled then return end
  local names, more = {}, 0
  for _, row in ipairs(rows) do
    local out = not row.balance and not row.failure
    if out and #names < 5 then
      names[#names + 1] = report.account(row)
    elseif out then
      more = more + 1
    end
  end
  local rest = more > 0 and (" and %d more"):format(more) or ""
  io.stderr:write("\r\27[Kwaiting for ", table.concat(names, ", "), rest)
  io.stderr:flush()
  progress.shown = true
end

function progress.clear()
  if progress.shown then io.stderr:write("\r\27[K") end
  progress.shown = false
end

-- Accounts -----------------------------------------------------------------------------------------------------------

-- The public module with its C module loaded, so that a missing one is told before anything else happens.
local function load_voicecredits()
  local voicecredits = require "voicecredits"
  local loaded, problem = pcall(function() return voicecredits._VERSION end)
  if loaded then return voicecredits end
  stop(status.unavailable, first_line(problem))
end

local function names_of(providers, field)
  local names = {}
  for i, provider in ipairs(providers) do names[i] = provider[field] end
  return names
end

local function check_label(account)
  if account.account == "default" then return end
  stop(status.configuration, ("%s has no account%s: accounts come from the environment and are called default")
    :format(account.provider, arguments.shown(account.account)))
end

-- The accounts of PROVIDER[/ACCOUNT] words, in their order, each once.
local function named_accounts(voicecredits, words, command)
  local names, list, seen = names_of(voicecredits.providers(), "name"), {}, {}
  for _, word in ipairs(words) do
    local account, problem = arguments.account(word, names)
    if not account then stop_for_usage(problem, arguments.usage(command)) end
    local id = account.provider .. "/" .. account.account
    if not seen[id] then list[#list + 1] = account end
    seen[id] = true
  end
  for _, account in ipairs(list) do check_label(account) end
  return list
end

local function all_accounts(voicecredits)
  local list = require "voicecredits.accounts".from_environment(voicecredits)
  if #list > 0 then return list end
  local variables = names_of(voicecredits.providers(), "key_variable")
  local last = table.remove(variables)
  stop(status.configuration, ("no key found: set %s or %s.\n'make demo' or 'voicecredits sandbox' needs none.")
    :format(table.concat(variables, ", "), last))
end

local function collect(session, by_id)
  for id, balance, failure in session.next, session do
    by_id[id].balance, by_id[id].failure = balance, failure
  end
end

-- Asks for all balances at once and waits for the last; rows are in the order of the accounts.
local function ask(voicecredits, accounts, timeout)
  local session, problem = voicecredits.session()
  if not session then stop(status.unavailable, report.failure(problem)) end
  local rows, by_id = {}, {}
  for i, account in ipairs(accounts) do
    local row = { provider = account.provider, account = account.account }
    local id, failure = session:submit(account.provider, { account = account.account, timeout = timeout })
    if id then by_id[id] = row end
    row.failure = failure
    rows[i] = row
  end
  while session:pending() > 0 do
    progress.show(rows)
    session:wait()
    collect(session, by_id)
  end
  progress.clear()
  session:close()
  return rows
end

-- The commands -------------------------------------------------------------------------------------------------------

local commands = {}

local function status_of(rows)
  local failed, misconfigured = 0, 0
  for _, row in ipairs(rows) do
    if row.failure then failed = failed + 1 end
    if row.failure and row.failure.kind == "configuration" then misconfigured = misconfigured + 1 end
  end
  if misconfigured == #rows then return status.configuration end
  return failed == 0 and status.ok or status.failed
end

function commands.check(request)
  local voicecredits = load_voicecredits()
  local accounts = #request.account > 0 and named_accounts(voicecredits, request.account, "check")
    or all_accounts(voicecredits)
  local rows = ask(voicecredits, accounts, request.timeout)
  write_out(report.check(rows, { format = request.format, coloured = is_coloured(), checked_at = os.time() }))
  return status_of(rows)
end

-- What a balance is worth to a guard: its status, and the line that says so.
local function judge(balance, minimum)
  if not balance.remaining then
    return status.failed, ("the provider does not say how much is left, %s wanted"):format(minimum.text)
  end
  local amount = ("%s %s, %s wanted"):format(report.amount(balance), balance.unit, minimum.text)
  if balance.remaining >= minimum.number then return status.ok, amount .. ": enough" end
  return status.failed, amount .. ": too little"
end

local function judge_failure(failure, request)
  local text = report.failure(failure)
  if failure.kind == "configuration" then return status.configuration, text end
  -- Used up is an answer, though it comes as an error: not one that --fail-open may pass over.
  if failure.kind == "exhausted" and request.min.number > 0 then
    return status.failed, ("%s, %s wanted: too little"):format(text, request.min.text)
  end
  if request.fail_open then return status.ok, text .. ": not checked, and passed because of --fail-open" end
  return status.unavailable, text .. ": not checked"
end

function commands.guard(request)
  local voicecredits = load_voicecredits()
  local row = ask(voicecredits, named_accounts(voicecredits, { request.account }, "guard"))[1]
  local code, text
  if row.balance then
    code, text = judge(row.balance, request.min)
  else
    code, text = judge_failure(row.failure, request)
  end
  local line = ("%s: %s"):format(report.account(row), text)
  if row.balance and code == status.ok then
    write_out(line .. "\n")
  else
    write_error(line)
  end
  return code
end

function commands.providers(request)
  local providers = load_voicecredits().providers()
  write_out(report.providers(providers, { format = request.format, coloured = is_coloured() }))
  return status.ok
end

local sandbox_keys = [[
The key chooses the answer:

  sandbox           the documented sample
  sandbox-empty     a balance of 0
  sandbox-null      null in the balance's place
  sandbox-denied    the key is refused, as any other is that is not in this list
  sandbox-limited   too many requests
  sandbox-down      the provider has a bad day
  sandbox-slow      the documented sample, after 2 seconds
]]

local function load_sandbox()
  local loaded, sandbox = pcall(require, "voicecredits.sandbox")
  if loaded then return sandbox end
  local module = tostring(sandbox):match("module '([%w_.]+)' not found")
  if not module then error(sandbox, 0) end
  stop(status.unavailable, ("the sandbox needs lua-http for this Lua (%s was not found): install the Debian package "
    .. "lua-http, or 'luarocks install http'"):format(module))
end

local function sandbox_text(server)
  local lines = {
    ("The sandbox plays all five providers at http://127.0.0.1:%d until Ctrl-C ends it. To use it:\n")
      :format(server.port),
  }
  for _, variable in ipairs(server:environment()) do
    lines[#lines + 1] = ("  export %s=%s"):format(variable[1], variable[2])
  end
  return table.concat(lines, "\n") .. "\n\n" .. sandbox_keys
end

function commands.sandbox(request)
  local server, problem = load_sandbox().open { port = request.port }
  if not server then stop(status.unavailable, problem) end
  write_out(sandbox_text(server))
  local served, reason = pcall(server.run, server) -- the port is given back as the process ends
  if not served and not is_interrupt(reason) then error(reason, 0) end
  return status.ok
end

function commands.help(request)
  write_out(request.text .. "\n")
  return status.ok
end

function commands.version()
  write_out(("voicecredits %s\n"):format(load_voicecredits()._VERSION))
  return status.ok
end

-- Main ---------------------------------------------------------------------------------------------------------------

local function run(words)
  local request, problem, usage = arguments.read(words)
  if not request then stop_for_usage(problem, usage) end
  return commands[request.command](request)
end

-- Packages of the modules that the command itself needs.
local packages = { argparse = "Debian package lua-argparse, or 'luarocks install argparse'" }

-- The status and the message of whatever ended a command early.
local function explain(problem)
  if getmetatable(problem) == Stop then return problem.status, problem.message end
  if is_interrupt(problem) then return status.interrupted, "interrupted" end
  local module = tostring(problem):match("module '([%w_.]+)' not found")
  if not module then return status.internal, first_line(problem) end
  local package = packages[module]
  return status.unavailable, ("module '%s' not found%s"):format(module, package and ": install the " .. package or "")
end

--- Runs the command.
---@param words string[] the words after the command's name
---@return integer status for os.exit
function cli.main(words)
  local ran, result = pcall(run, words)
  progress.clear()
  if ran then return result end
  local code, message = explain(result)
  write_error("voicecredits: " .. message)
  return code
end

return cli
