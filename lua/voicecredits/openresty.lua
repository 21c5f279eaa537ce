-- OpenResty and nginx's Lua module: checks that let the worker's other requests go on, and balances that one worker
-- fetches for all of them.
--
--   check, check_all, ensure    those of "voicecredits", waiting by ngx.sleep
--   prepare                     init_worker_by_lua: what the first check would do else
--   refresh                     init_worker_by_lua: asks again and again, one worker at a time
--   read, balances              what was fetched last, from the shared dictionary
--   handler, metrics            the same as an answer: JSON, and Prometheus' text

local report = require "voicecredits.report"
local voicecredits = require "voicecredits"

---@class voicecredits.openresty
local openresty = {}

-- Waiting ------------------------------------------------------------------------------------------------------------

local SHORTEST, LONGEST, GROWTH = 0.001, 0.010, 1.3 -- seconds

-- nginx's Lua cannot watch a descriptor of others, so a request looks again and again, ever less often.

--- Sleeps a little: 1 ms the first time a check has no answer yet, up to 10 ms later.
---@param _ voicecredits.session
---@param attempt integer
function openresty.wait(_, attempt)
  ngx.sleep(math.min(SHORTEST * GROWTH ^ (attempt - 1), LONGEST))
end

local may_wait = {
  server_rewrite = true, rewrite = true, access = true, content = true, timer = true, preread = true, ssl_cert = true,
  ssl_client_hello = true, ssl_session_fetch = true,
}

local function check_phase(name)
  local phase = ngx.get_phase()
  if may_wait[phase] then return end
  error(("'%s' has to wait, which nginx does not allow in its phase '%s': call it in a timer, ngx.timer.at(0, ...)")
    :format(name, phase), 3)
end

-- The options with this host's way to wait; what is no table is left for the check itself to refuse.
local function waiting(options)
  if options ~= nil and type(options) ~= "table" then return options end
  local own = { wait = openresty.wait }
  for name, value in pairs(options or {}) do own[name] = value end
  return own
end

--- Asks for the balance of one account while the worker goes on with its other requests.
---@param provider voicecredits.provider
---@param options? voicecredits.options
---@return voicecredits.balance? balance
---@return voicecredits.failure? failure
function openresty.check(provider, options)
  check_phase "check"
  return voicecredits.check(provider, waiting(options))
end

--- The same for many accounts at once; rows in the order of the accounts.
---@param accounts? voicecredits.account[] every provider whose key is in the environment when nil
---@param options? voicecredits.options defaults for every account
---@return voicecredits.row[]? rows
---@return voicecredits.failure? failure only when no session could be opened
function openresty.check_all(accounts, options)
  check_phase "check_all"
  return voicecredits.check_all(accounts, waiting(options))
end

--- Asks for a balance and holds it against a minimum.
---@param provider voicecredits.provider
---@param minimum number
---@param options? voicecredits.options
---@return voicecredits.balance? balance
---@return voicecredits.failure? failure
function openresty.ensure(provider, minimum, options)
  check_phase "ensure"
  return voicecredits.ensure(provider, minimum, waiting(options))
end

--- Loads libcurl and starts this worker's session, which takes some milliseconds: in init_worker_by_lua no request has
--- to stand aside for them. `refresh` does it too. Never in init_by_lua: threads do not follow into the workers.
---@return boolean? prepared
---@return voicecredits.failure? failure
function openresty.prepare()
  if ngx.get_phase() == "init" then error("'prepare' needs a worker: call it in init_worker_by_lua", 2) end
  local session, failure = require "voicecredits.core".session_of()
  if not session then return nil, failure end
  return true
end

-- What is in the shared dictionary -----------------------------------------------------------------------------------

-- The dictionary may be one that others use too. ACCOUNTS holds the handler's answer as it goes out, nothing that must
-- not be seen by whoever may see that: the report leaves out keys, raw bodies and what belongs to a person.
local ACCOUNTS = "voicecredits:accounts"
local DONE = "voicecredits:done"         -- there while the last round is young enough; the accounts it was for
local LOCK = "voicecredits:lock"         -- whoever asks at the moment
local FAILURES = "voicecredits:failures" -- one counter per account and kind

local STANDARD_DICT = "voicecredits"

local jobs = {} -- name of a dictionary -> what this worker's refresh is to do
local first_dict -- that of the first refresh

local function find_dict(name)
  if type(name) ~= "string" then
    return nil, ("option 'dict' must be the name of a lua_shared_dict, found %s"):format(type(name))
  end
  local dict = ngx.shared[name]
  if not dict then
    return nil, ("there is no shared dictionary '%s': nginx's configuration needs 'lua_shared_dict %s 1m;'")
      :format(name, name)
  end
  return dict
end

-- An error in the caller's call: level 1 is the function that calls this one.
local function refuse(name, argument, reason, level)
  error(("bad argument #%d to '%s' (%s)"):format(argument, name, reason), (level or 1) + 2)
end

-- The name among `known` (an array) that is meant by one that is not.
local function unknown(name, known)
  local core = require "voicecredits.core"
  name = tostring(name)
  return ("unknown option%s, the nearest is '%s'"):format(core.shown(name), core.nearest(name, known))
end

-- The dictionary that a reader's options name, else the one that refresh writes to.
local function dict_for_reading(name, argument, options)
  if options ~= nil and type(options) ~= "table" then
    refuse(name, argument, ("table expected, found %s"):format(type(options)), 2)
  end
  for option in pairs(options or {}) do
    if option ~= "dict" then refuse(name, argument, unknown(option, { "dict" }), 2) end
  end
  local dict, problem = find_dict(options and options.dict or first_dict or STANDARD_DICT)
  if not dict then refuse(name, argument, problem, 2) end
  return dict
end

-- JSON's null is a value of lua-cjson's own that counts as true: an unknown balance has to be nil.
local function without_nulls(value, null)
  if value == null then return nil end
  if type(value) == "table" then
    for name, field in pairs(value) do value[name] = without_nulls(field, null) end
  end
  return value
end

-- The rows of the last round and when it was; nil before the first, or where others wrote over them.
local function read_rows(dict)
  local text = dict:get(ACCOUNTS)
  if type(text) ~= "string" then return nil end
  local cjson = require "cjson"
  local ok, document = pcall(cjson.decode, text)
  if not ok or type(document) ~= "table" or type(document.accounts) ~= "table" then return nil end
  without_nulls(document, cjson.null)
  return document.accounts, document.checked_at
end

-- The rows as JSON, each with the time of its failure. The report writes a row a line.
local function to_json(rows, checked_at) return report.check(rows, { format = "json", checked_at = checked_at }) end

-- Refreshing ---------------------------------------------------------------------------------------------------------

-- The options of refresh: these, and the defaults of its checks.
local of_refresh = { interval = true, accounts = true, dict = true }
local of_checks = {
  "api_key", "base_url", "timeout", "connect_timeout", "retries", "proxy", "ca_file", "ca_path", "session",
}

local STANDARD_TIMEOUT = 10 -- seconds, the check's own
local GRACE = 2             -- seconds by which a lock outlives the longest check
local LONGEST_TICK = 1      -- seconds between two looks at whether it is time

-- A round is not finished in a worker that ends: it would hold up the end by as long as a provider hangs.
local ending = {}

local function wait_unless_ending(session, attempt)
  if ngx.worker.exiting() then error(ending) end
  openresty.wait(session, attempt)
end

-- A fraction that differs between the workers: they are born with the same state of math.random.
local function own_fraction() return (ngx.worker.pid() * 0.6180339887 + ngx.now()) % 1 end

-- How an account is told apart; as text that is in the dictionary, so in the printable form.
local function name_of(provider, account)
  return provider .. "\n" .. require "voicecredits.core".printable(account or "default", 4096)
end

local function rows_by_name(rows)
  local found = {}
  for _, row in ipairs(rows or {}) do found[name_of(row.provider, row.account)] = row end
  return found
end

-- Seconds for which an entry of the dictionary has to be left alone, nil when it is not there. Its end is a time of
-- day: one farther away than it was ever set means that the clock was put back, and that it might stay for very long.
local function left(dict, key, longest)
  local seconds = dict:ttl(key)
  if not seconds or seconds <= 0 then return nil end
  if seconds <= longest + 1 then return seconds end
  dict:delete(key)
end

local function is_due(job)
  return not left(job.dict, DONE, job.interval) or job.dict:get(DONE) ~= job.names
end

-- One line when an account begins to fail in a way it did not, and one when it works again.
local function log_change(row, before)
  local kind = row.failure and row.failure.kind
  local kind_before = before and before.failure and before.failure.kind
  if kind == kind_before then return end
  if row.failure then
    ngx.log(ngx.WARN, "voicecredits: ", report.account(row), ": ", report.failure(row.failure))
  else
    ngx.log(ngx.NOTICE, "voicecredits: ", report.account(row), " answers again")
  end
end

-- Every account with one failure, when there was nothing to ask with.
local function rows_of_failure(job, previous, failure)
  local rows = {}
  for i, account in ipairs(job.accounts or previous or {}) do
    rows[i] = { provider = account.provider, account = account.account or "default", failure = failure }
  end
  ngx.log(ngx.ERR, "voicecredits: ", report.failure(failure))
  return rows
end

local function ask(job)
  local previous = read_rows(job.dict)
  local rows, failure = voicecredits.check_all(job.accounts, job.options)
  rows = rows or rows_of_failure(job, previous, failure)
  local before, now = rows_by_name(previous), ngx.now()
  for _, row in ipairs(rows) do
    local name = name_of(row.provider, row.account)
    log_change(row, before[name])
    if row.failure then
      row.failed_at = now
      row.balance = before[name] and before[name].balance -- the last good one; its fetched_at dates it
      job.dict:incr(FAILURES .. "\n" .. name .. "\n" .. row.failure.kind, 1, 0)
    end
  end
  local stored, problem = job.dict:set(ACCOUNTS, to_json(rows, now))
  if not stored then error("lua_shared_dict " .. job.name .. " is too small: " .. problem, 0) end
end

-- Asks if no other worker does, and leaves a note for them all that this round is done, whatever became of it.
local function take_turn(job)
  local dict, token = job.dict, ngx.worker.pid()
  local mine, problem = dict:add(LOCK, token, job.patience)
  if not mine then
    if problem ~= "exists" then error(("lua_shared_dict %s: %s"):format(job.name, problem), 0) end
    left(dict, LOCK, job.patience)
    return
  end
  local ok, reason = true, nil
  if is_due(job) then -- or another was done between the look and the lock
    ok, reason = pcall(ask, job)
    if reason ~= ending then dict:set(DONE, job.names, job.interval) end
  end
  if dict:get(LOCK) == token then dict:delete(LOCK) end
  if not ok then error(reason, 0) end
end

local function tick(premature, job)
  if premature or ngx.worker.exiting() or job.busy or not is_due(job) then return end
  job.busy = true -- a round may take longer than the time to the next look
  local ok, reason = pcall(take_turn, job)
  job.busy = false
  if not ok and reason ~= ending then ngx.log(ngx.ERR, "voicecredits: a refresh went wrong: ", tostring(reason)) end
end

local function read_seconds(options, name, standard)
  local seconds = options[name]
  if seconds == nil then seconds = standard end
  if type(seconds) ~= "number" or not (seconds > 0 and seconds < math.huge) then
    refuse("refresh", 1, ("option '%s' must be a number of seconds, more than 0"):format(name), 2)
  end
  return seconds
end

-- The reason of an argument error of the C module's.
local function reason_of(problem) return tostring(problem):match("%((.*)%)$") or tostring(problem) end

local function names_of_options()
  local names, owners = {}, {}
  for name in pairs(of_refresh) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(of_checks) do names[#names + 1] = name end
  for _, provider in ipairs(voicecredits.providers()) do
    for _, name in ipairs(require "voicecredits.core".own_options(provider.name)) do
      names[#names + 1] = name
      owners[name] = provider.name
    end
  end
  return names, owners
end

-- The defaults of the checks among the options of refresh. What is wrong with them is told now, not by every round.
local function read_defaults(options)
  local known, owners = names_of_options()
  local is_known, defaults, by_provider = {}, {}, {}
  for _, name in ipairs(known) do is_known[name] = true end
  for name, value in pairs(options) do
    if not is_known[name] then refuse("refresh", 1, unknown(name, known), 2) end
    if not of_refresh[name] then
      local provider = owners[name] or "fish" -- an option that all have may be tried with any
      by_provider[provider] = by_provider[provider] or {}
      by_provider[provider][name] = value
      defaults[name] = value
    end
  end
  for provider, some in pairs(by_provider) do
    local ok, problem = pcall(voicecredits.request, provider, some)
    if not ok then refuse("refresh", 1, reason_of(problem), 2) end
  end
  return defaults
end

local function read_account(account, i)
  if type(account) ~= "table" or type(account.provider) ~= "string" then
    return nil, ("account %d: must be a table with a string 'provider'"):format(i)
  end
  local copy, options = {}, {}
  for name, value in pairs(account) do
    copy[name] = value
    if name ~= "provider" then options[name] = value end
  end
  local ok, problem = pcall(voicecredits.request, account.provider, options)
  if not ok then return nil, ("account %d: %s"):format(i, reason_of(problem)) end
  return copy
end

-- A copy of the accounts, their names, and the longest time that one of their checks may take.
local function read_accounts(options, timeout)
  local list = options.accounts
  if list == nil then return nil, "", timeout end
  if type(list) ~= "table" then
    refuse("refresh", 1, ("option 'accounts' must be an array, found %s"):format(type(list)), 2)
  end
  local accounts, names, seen = {}, {}, {}
  for i, entry in ipairs(list) do
    local account, problem = read_account(entry, i)
    if not account then refuse("refresh", 1, problem, 2) end
    local name = name_of(account.provider, account.account)
    if seen[name] then
      refuse("refresh", 1, ("account %d: there is another %s: give each a label of its own, 'account'")
        :format(i, report.account { provider = account.provider, account = account.account or "default" }), 2)
    end
    accounts[i], names[i], seen[name] = account, name, true
    timeout = math.max(timeout, account.timeout or 0)
  end
  return accounts, table.concat(names, "\n"), timeout
end

---@class voicecredits.openresty.refresh: voicecredits.options
---@field interval? number seconds from the end of a round to the next one; 60
---@field accounts? voicecredits.account[] every provider whose key is in the environment when nil
---@field dict? string name of a lua_shared_dict; "voicecredits"

--- Fetches the balances for all workers, again and again: to be called in init_worker_by_lua. The other options are
--- defaults of the checks. A balance stays, dated by its `fetched_at`, when its provider fails later.
---@param options? voicecredits.openresty.refresh
function openresty.refresh(options)
  if options == nil then options = {} end
  if type(options) ~= "table" then refuse("refresh", 1, ("table expected, found %s"):format(type(options))) end
  if ngx.get_phase() == "init" then error("'refresh' needs a worker: call it in init_worker_by_lua", 2) end
  local name = options.dict == nil and STANDARD_DICT or options.dict
  local dict, problem = find_dict(name)
  if not dict then refuse("refresh", 1, problem) end
  if jobs[name] then refuse("refresh", 1, ("'%s' is refreshed already: one call names all accounts"):format(name)) end

  local job = { dict = dict, name = name, interval = read_seconds(options, "interval", 60), busy = false }
  job.options = read_defaults(options)
  job.options.wait = wait_unless_ending
  local longest
  job.accounts, job.names, longest = read_accounts(options, options.timeout or STANDARD_TIMEOUT)
  job.patience = longest + GRACE

  -- timer.every goes on whatever happens to one run of it; the single timer is for a first answer at once.
  local step = math.min(LONGEST_TICK, math.max(0.05, job.interval / 10)) * (0.75 + 0.5 * own_fraction())
  local started, reason = ngx.timer.every(step, tick, job)
  if not started then error("'refresh' got no timer: " .. tostring(reason), 2) end
  if not options.session then openresty.prepare() end -- where it fails, every round will tell
  ngx.timer.at(0.1 * own_fraction(), tick, job)
  jobs[name], first_dict = job, first_dict or name
end

-- Reading ------------------------------------------------------------------------------------------------------------

---@class voicecredits.openresty.row: voicecredits.row
---@field failed_at? number when the last check failed; `balance` is then the last good one, if there was any

--- The last round's rows, in any phase; nil before the first round. They are the caller's own.
---@param options? { dict: string } the dictionary of the first refresh when nil
---@return voicecredits.openresty.row[]? rows
---@return number? checked_at
function openresty.balances(options)
  return read_rows(dict_for_reading("balances", 1, options))
end

--- One account's row; nil when it is not known.
---@param provider voicecredits.provider
---@param account? string "default" when nil
---@param options? { dict: string }
---@return voicecredits.openresty.row?
function openresty.read(provider, account, options)
  if type(provider) ~= "string" then refuse("read", 1, ("string expected, found %s"):format(type(provider))) end
  if account ~= nil and type(account) ~= "string" then
    refuse("read", 2, ("string expected, found %s"):format(type(account)))
  end
  local rows = read_rows(dict_for_reading("read", 3, options))
  return rows_by_name(rows)[name_of(provider, account)]
end

-- Answering ----------------------------------------------------------------------------------------------------------

local function answer(status, content_type, body)
  ngx.status = status
  ngx.header["Content-Type"] = content_type
  ngx.header["Content-Length"] = #body
  ngx.header["Cache-Control"] = "no-store"
  ngx.print(body)
end

local function is_for_reading()
  local method = ngx.req.get_method()
  if method == "GET" or method == "HEAD" then return true end
  ngx.req.discard_body()
  ngx.header["Allow"] = "GET, HEAD"
  answer(405, "text/plain; charset=utf-8", "only GET and HEAD are answered here\n")
end

--- Answers a request with the last round as JSON, in the schema of the command's `--format json`, plus `failed_at`.
--- Before the first round: status 503 with no accounts.
---@param options? { dict: string }
function openresty.handler(options)
  local dict = dict_for_reading("handler", 1, options)
  if not is_for_reading() then return end
  local text = dict:get(ACCOUNTS)
  if text then return answer(200, "application/json", text) end
  ngx.header["Retry-After"] = 1
  answer(503, "application/json", '{"schema":"voicecredits.check.v1","checked_at":null,"accounts":[]}\n')
end

-- Prometheus ---------------------------------------------------------------------------------------------------------

-- Those that a check can end with.
local kinds = {
  "configuration", "authentication", "permission", "exhausted", "not_found", "invalid_request", "rate_limited",
  "unavailable", "timeout", "network", "tls", "protocol", "cancelled",
}

local escapes = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }

local function escaped(text) return (text:gsub('[\\"\n]', escapes)) end

local function sample(lines, metric, row, label, value)
  local more = label and (',%s="%s"'):format(label[1], escaped(label[2])) or ""
  lines[#lines + 1] = ('voicecredits_%s{provider="%s",account="%s"%s} %s'):format(metric, escaped(row.provider),
    escaped(row.account), more, report.number(value))
end

-- Each adds the samples of one account. What is not known has no sample: 0 would be an amount.
local metrics = {
  {
    "remaining", "gauge", "What is left on the account, in the unit; the last known when a check fails.",
    function(lines, metric, row)
      local balance = row.balance
      if balance and balance.remaining then
        sample(lines, metric, row, { "unit", balance.unit }, balance.remaining)
      end
    end,
  },
  {
    "up", "gauge", "Whether the last check of the account worked.",
    function(lines, metric, row) sample(lines, metric, row, nil, row.failure and 0 or 1) end,
  },
  {
    "checked_timestamp_seconds", "gauge", "When the account last answered, in seconds since the epoch.",
    function(lines, metric, row)
      if row.balance then sample(lines, metric, row, nil, row.balance.fetched_at) end
    end,
  },
  {
    "failures_total", "counter", "How many checks of the account failed, by the kind of failure.",
    function(lines, metric, row, dict)
      for _, kind in ipairs(kinds) do
        local count = dict:get(FAILURES .. "\n" .. name_of(row.provider, row.account) .. "\n" .. kind)
        if count then sample(lines, metric, row, { "kind", kind }, count) end
      end
    end,
  },
}

local function metrics_of(dict)
  local lines, rows = {}, read_rows(dict) or {}
  for _, metric in ipairs(metrics) do
    local name, kind, help, add = metric[1], metric[2], metric[3], metric[4]
    lines[#lines + 1] = ("# HELP voicecredits_%s %s"):format(name, help)
    lines[#lines + 1] = ("# TYPE voicecredits_%s %s"):format(name, kind)
    for _, row in ipairs(rows) do add(lines, name, row, dict) end
  end
  return table.concat(lines, "\n") .. "\n"
end

--- The last round in Prometheus' text format 0.0.4, for a program that adds it to metrics of its own.
---@param options? { dict: string }
---@return string
function openresty.metrics_text(options)
  return metrics_of(dict_for_reading("metrics_text", 1, options))
end

--- Answers a request with the same.
---@param options? { dict: string }
function openresty.metrics(options)
  local dict = dict_for_reading("metrics", 1, options)
  if not is_for_reading() then return end
  answer(200, "text/plain; version=0.0.4; charset=utf-8", metrics_of(dict))
end

return openresty
