--- Runs the fault table (spec/faults.lua): many checks in flight at once through one session, each answer held against its row.
--
--   faulty.open()       starts the servers with every answer of the table: a place
--   faulty.run()        asks them in this process, and returns what was wrong
--   faulty.run_apart()  the same in a process of its own (faulty_process.lua)

local cjson = require "cjson"
local cqueues = require "cqueues"
local faults = require "spec.faults"
local files = require "spec.support.files"
local fixtures = require "spec.fixtures"
local support = require "spec.support.server"
local voicecredits = require "voicecredits"

local faulty = {}

local KEY = "fault-table-key" -- stands in no answer, and may stand in no failure
local IN_FLIGHT = 64
local SLACK = 0.05 -- seconds beyond the longest time that a row allows
local ATTEMPTS = 3 -- a check that took too long is asked again alone: a busy machine is no fault of ours

-- What the rows are told --------------------------------------------------------------------------------------------

local gzipped = {}

local function gzip(text)
  if not gzipped[text] then
    local path = os.tmpname()
    files.write(path, text)
    local pipe = assert(io.popen("gzip -nc " .. files.quote(path), "r"))
    gzipped[text] = pipe:read("*a")
    pipe:close()
    os.remove(path)
  end
  return gzipped[text]
end

local DAYS = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday" }
local MONTHS = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }

-- os.date in English, whatever the locale.
local function date(seconds, format)
  local time = os.time() + seconds
  local fields = os.date("!*t", time)
  local names = { A = DAYS[fields.wday], a = DAYS[fields.wday]:sub(1, 3), b = MONTHS[fields.month] }
  return os.date((format or "!%a, %d %b %Y %H:%M:%S GMT"):gsub("%%([Aab])", names), time)
end

local function load_trimmed(fixture) return (fixtures.load(fixture):gsub("%s+$", "")) end

local function documents(provider, status)
  local bodies, known = {}, {}
  for _, fixture in ipairs(fixtures) do
    local wanted = fixture.provider == provider and fixture.status == status and fixture.file:find("%.json$")
    if wanted and not known[fixture.file] then bodies[#bodies + 1] = load_trimmed(fixture) end
    known[fixture.file] = known[fixture.file] or wanted
  end
  return bodies
end

local samples = {}
for _, provider in ipairs(faults.providers) do samples[provider] = fixtures.find(provider, "sample") end

local function about(provider, elsewhere)
  return { provider = provider, sample = load_trimmed(samples[provider]), elsewhere = elsewhere, gzip = gzip, date = date,
    documents = function(status) return documents(provider, status) end }
end

-- The plan: every answer of the table ---------------------------------------------------------------------------------

local function as_list(answer) return type(answer) == "table" and answer or { answer } end

-- The answers of a row to a provider's checks, as an array of { name, raw }: the same names in every process.
local function answers_of(index, row, told)
  if row.fixed then return { { name = row.fixed } } end
  if row.address then return { { address = row.address } } end
  local same = type(row.answer) ~= "function"
  local list = as_list(same and row.answer or row.answer(told))
  local named = {}
  for i, raw in ipairs(list) do
    named[i] = { name = ("%d-%d-%s"):format(index, i, same and "all" or told.provider), raw = raw, options = row.server }
  end
  return named
end

-- Calls `visit` with row, provider and answer for all rows of the table that are wanted.
local function each(elsewhere, wanted, visit)
  for index, row in ipairs(faults.rows) do
    for _, provider in ipairs(wanted(row) and (row.providers or faults.providers) or {}) do
      for _, answer in ipairs(answers_of(index, row, about(provider, elsewhere))) do visit(row, provider, answer) end
    end
  end
end

-- The place -----------------------------------------------------------------------------------------------------------

local Place = {}
Place.__index = Place

-- What of an OpenSSL that takes old protocols and weak keys, for the process that reads it.
local PERMISSIVE = [[
openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = permissive
[permissive]
MinProtocol = TLSv1
CipherString = DEFAULT:@SECLEVEL=0
]]

local function make_home(ca_file)
  local home = files.lines_of("mktemp -d")[1]
  local hashed = home .. "/certificates"
  os.execute(("mkdir %s && cp %s %s/ca.pem && openssl rehash %s"):format(hashed, ca_file, hashed, hashed))
  files.write(home .. "/openssl.cnf", PERMISSIVE)
  return home, hashed
end

-- In parcels, so that neither side holds all of it at once.
local function set_answers(server, elsewhere)
  local parcel, size, known = {}, 0, {}
  local function send()
    server:set_all(parcel)
    parcel, size = {}, 0
  end
  each(elsewhere, function() return true end, function(_, _, answer)
    if not answer.raw or known[answer.name] then return end
    known[answer.name] = true
    parcel[#parcel + 1] = { name = answer.name, raw = answer.raw, options = answer.options }
    size = size + #answer.raw
    if size > 4e6 then send() end
  end)
  send()
end

--- Starts a server with every answer of the table, and one that nobody may ask.
function faulty.open()
  local server, elsewhere = support.raw_server { tls = true }, support.raw_server { tls = true }
  local told = { elsewhere = ("http://127.0.0.1:%d"):format(elsewhere.port), other_ca_file = elsewhere.ca_file }
  told.home, told.ca_path = make_home(server.ca_file)
  set_answers(server, told.elsewhere)
  for _, name in ipairs { "port", "tls_ports", "ports", "ca_file" } do told[name] = server[name] end
  files.write(told.home .. "/told.json", cjson.encode(told))
  server:clear()
  elsewhere:clear()
  return setmetatable({ server = server, elsewhere = elsewhere, told = told }, Place)
end

function Place:close()
  self.server:stop()
  self.elsewhere:stop()
  os.execute("rm -r " .. self.told.home)
end

--- The names of the rows whose server may see no request, and has seen one.
function Place:seen()
  local names = {}
  for _, request in ipairs(self.server:log()) do
    local index = request.behaviour:match("^(%d+)-")
    local row = index and faults.rows[tonumber(index)]
    if row and row.unseen then names[#names + 1] = row.name end
  end
  return names
end

-- A check and its answer ----------------------------------------------------------------------------------------------

local function url_of(told, scheme, row, answer)
  if answer.address then return answer.address:find("://", 1, true) and answer.address or scheme .. "://" .. answer.address end
  local own = told.ports[answer.name]
  local port = scheme == "http" and told.port or told.tls_ports[row.certificate or "good"]
  return ("%s://127.0.0.1:%d/%s"):format(scheme, own and own[scheme] or port, answer.name)
end

local function options_of(told, scheme, row, answer)
  local options = { api_key = KEY, base_url = url_of(told, scheme, row, answer), timeout = 10, retries = 0 }
  local trust = row.trust or "ca_file"
  if trust == "ca_file" then options.ca_file = told.ca_file end
  if trust == "ca_path" then options.ca_path = told.ca_path end
  if trust == "other" then options.ca_file = told.other_ca_file end
  for name, value in pairs(row.check or {}) do options[name] = value end
  return options
end

local function is_as(expected, found)
  if expected == false then return not found end
  if type(expected) == "table" then return type(found) == "number" and found >= expected[1] and found <= expected[2] end
  return expected == found
end

local function show(value) return type(value) == "table" and table.concat(value, " to ") or tostring(value) end

-- What is not as the row expects, as a text; nil where all is.
local function difference(row, provider, balance, failure, whole)
  local expect = row.expect
  if expect.kind and not failure then return "got " .. tostring(balance) end
  if not expect.kind and not balance then return "got " .. tostring(failure) end
  local fields = expect
  if expect.balance then
    local sample = samples[provider].expect.balance
    fields = { remaining = sample.remaining, exact = sample.exact }
  end
  for name, expected in pairs(fields) do
    local found = (balance or failure)[name]
    local passed_over = name == "says" or (name == "attempts" and not whole)
    if not passed_over and not is_as(expected, found) then return ("%s: %s, not %s"):format(name, show(found), show(expected)) end
  end
  if not failure then return nil end
  if expect.says and not failure.message:lower():find(expect.says:lower(), 1, true) then return "says " .. failure.message end
  if tostring(failure):find(KEY, 1, true) then return "shows the key" end
end

-- Whether a check took longer than its row allows, or ended before its time was over.
local function delay(row, answer, timeout, lateness)
  local longest = timeout * (row.longest or 0.5) + SLACK + lateness
  if answer.elapsed > longest then return ("took %.3f s, longer than %.3f s"):format(answer.elapsed, longest) end
  if row.expect.kind == "timeout" and answer.elapsed < timeout - 0.002 then return ("ended after %.3f s"):format(answer.elapsed) end
end

-- Over the wire ---------------------------------------------------------------------------------------------------------

local function plan(told, wanted)
  local cases = {}
  each(told.elsewhere, wanted, function(row, provider, answer)
    for _, scheme in ipairs(row.over or { "http", "https" }) do
      cases[#cases + 1] = { row = row, provider = provider, scheme = scheme, options = options_of(told, scheme, row, answer) }
    end
  end)
  return cases
end

-- Submits cases as long as there is room, and gives each answer to `done`. Returns how late this process woke up at worst
-- when it slept meanwhile: the control that corrects the times.
local function ask(session, cases, done)
  local under_way, count, next_case, lateness = {}, 0, 1, 0
  while count > 0 or next_case <= #cases do
    while count < IN_FLIGHT and next_case <= #cases do
      local case = cases[next_case]
      under_way[assert(session:submit(case.provider, case.options))] = case
      count, next_case = count + 1, next_case + 1
    end
    local start = cqueues.monotime()
    if not session:wait(0.01) then lateness = math.max(lateness, cqueues.monotime() - start - 0.01) end
    for id, balance, failure in session.next, session do
      done(under_way[id], balance, failure)
      under_way[id], count = nil, count - 1
    end
  end
  return lateness
end

local function note(problems, case, problem)
  local list = problems[case.row.name] or {}
  problems[case.row.name] = list
  list[#list + 1] = ("%s over %s: %s"):format(case.provider, case.scheme, problem)
end

-- Asks all cases; returns those that took too long, each with its problem. So do those that a short timeout ended before the
-- server came to where it was to stop.
local function ask_all(session, cases, problems)
  local answered, slow = {}, {}
  local lateness = ask(session, cases, function(case, balance, failure)
    local problem = difference(case.row, case.provider, balance, failure, true)
    if problem and case.row.longest ~= 1 then
      note(problems, case, problem)
    else
      answered[case] = { elapsed = (balance or failure).elapsed, problem = problem }
    end
  end)
  for case, answer in pairs(answered) do
    case.problem = answer.problem or delay(case.row, answer, case.options.timeout, lateness)
    if case.problem then slow[#slow + 1] = case end
  end
  return slow
end

local function run_on_wire(told, wanted, problems)
  local session = assert(voicecredits.session { max_in_flight = IN_FLIGHT, max_per_host = IN_FLIGHT })
  local cases = plan(told, wanted)
  local slow = ask_all(session, cases, problems)
  for _ = 2, ATTEMPTS do
    local still = {}
    for _, case in ipairs(slow) do
      for _, again in ipairs(ask_all(session, { case }, problems)) do still[#still + 1] = again end
    end
    slow = still
  end
  for _, case in ipairs(slow) do note(problems, case, case.problem) end
  session:close()
  return #cases
end

-- Through voicecredits.parse --------------------------------------------------------------------------------------------

-- What another HTTP client would make of these bytes; nil where that is not one whole answer.
local function read_response(raw)
  local status, head, body = raw:match("^HTTP/1%.1 (%d+) Test\r\n(.-\r\n)\r\n(.*)$")
  if not status or #head > 65536 then return nil end
  local headers = {}
  for line in head:gmatch("(.-)\r\n") do
    local name, value = line:match("^([%w-]+): *([^%z\1-\31]-) *$")
    if not name or name == "Transfer-Encoding" then return nil end
    headers[name] = headers[name] or value
  end
  return headers["Content-Length"] == tostring(#body) and { status = tonumber(status), headers = headers, body = body } or nil
end

local function run_through_parse(told, wanted, problems)
  local count = 0
  each(told.elsewhere, wanted, function(row, provider, answer)
    local response = not row.wire_only and not row.server and answer.raw and read_response(answer.raw)
    if not response or (row.over and row.over[1] == "https") then return end
    count = count + 1
    local balance, failure = voicecredits.parse(provider, response, { api_key = KEY })
    local problem = difference(row, provider, balance, failure, false)
    if problem then note(problems, { row = row, provider = provider, scheme = "parse" }, problem) end
  end)
  return count
end

-- All of it -------------------------------------------------------------------------------------------------------------

--- Runs the rows for which `wanted` returns true. Returns problems = { [row name] = array of texts }, the number of checks
-- over the wire, and that of answers through parse.
---@param told table what faulty.open() told of its place
---@param wanted fun(row): boolean
function faulty.run(told, wanted)
  local problems = {}
  local checks = run_on_wire(told, wanted, problems)
  return problems, checks, run_through_parse(told, wanted, problems)
end

--- Runs rows in a process of its own, with variables of its own: the row of that name, or all that need no such process. `locale`
-- is what it sets for itself. Returns what it tells: { problems, checks, parsed, zone = its offset from UTC, number = 1.5 as text }.
function faulty.run_apart(told, variables, name, locale)
  local words = { "env -u SSL_CERT_FILE -u SSL_CERT_DIR -u CURL_CA_BUNDLE" }
  for variable, value in pairs(variables) do words[#words + 1] = files.quote(variable .. "=" .. value) end
  for _, word in ipairs { os.getenv("LUA") or "lua5.4", "spec/support/faulty_process.lua", told.home .. "/told.json", name or "", locale or "" } do
    words[#words + 1] = files.quote(word)
  end
  local pipe = assert(io.popen(table.concat(words, " ") .. " 2>&1", "r"))
  local output = pipe:read("*a")
  pipe:close()
  local ok, answer = pcall(cjson.decode, output)
  if not ok then error("the process ended with: " .. output, 2) end
  return answer
end

return faulty
