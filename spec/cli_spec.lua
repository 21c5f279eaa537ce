package.path = "./lua/?.lua;./lua/?/init.lua;./?.lua;./?/init.lua;" .. package.path

local cjson = require "cjson"
local cqueues = require "cqueues"
local command = require "spec.support.command"
local support = require "spec.support.server"

local SLOW = 0.6 -- what "sandbox-slow" waits here

describe("the command", function()
  local sandbox, raw

  setup(function()
    sandbox = support.sandbox { delay = SLOW }
    raw = support.raw_server()
  end)
  teardown(function()
    sandbox:stop()
    raw:stop()
  end)

  -- The ten variables of the sandbox, with these in their place.
  local function with(changes)
    local env = {}
    for _, variable in ipairs(sandbox:environment()) do env[variable[1]] = variable[2] end
    for name, value in pairs(changes or {}) do env[name] = value or nil end
    return env
  end

  -- Only the accounts named, each with its key in the sandbox.
  local function only(keys, more)
    local env = {}
    for name, key in pairs(keys) do
      env[name:upper() .. "_API_KEY"] = key
      env[name:upper() .. "_BASE_URL"] = sandbox:url()
    end
    for name, value in pairs(more or {}) do env[name] = value end
    return env
  end

  -- A fish account whose answer has this text as its credit.
  local function answered(name, provider, body)
    raw:set(name, support.response(200, body))
    local upper = provider:upper()
    return { [upper .. "_API_KEY"] = "test", [upper .. "_BASE_URL"] = raw:url(name) }
  end

  local function split(text)
    local found = {}
    for line in text:gmatch("([^\n]*)\n") do found[#found + 1] = line end
    return found
  end

  -- A check that is at the provider and gets no answer.
  local function start_hanging(key)
    raw:clear()
    local running = command.start({ "fish" }, { env = { FISH_API_KEY = key, FISH_BASE_URL = raw:url("hang") } })
    local deadline = cqueues.monotime() + 10
    repeat
      cqueues.sleep(0.01)
    until #raw:log() > 0 or cqueues.monotime() > deadline
    local asked = #raw:log()
    if asked ~= 1 then running:signal("KILL") end -- or the tests would wait for it at their end
    assert.equal(1, asked)
    return running
  end

  -- The arguments of every process of this machine that can be seen.
  local function all_arguments()
    local list = assert(io.popen("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\000' ' '", "r"))
    local text = list:read("*a")
    list:close()
    return text
  end

  local sample = [[
ACCOUNT      BALANCE  UNIT     DETAIL
supertone        123  credits
suno             100  credits
fish       12.340000  USD
srtgen         1,250  credits  Starter Plan, resets 2026-04-29, +250 extra, storage 200 MB of 10 GB
breeze           0.5  credits  1 top-up (2026-04-02)
]]

  describe("check", function()
    it("is what happens when nothing is said: every account with a key, in the order of the providers", function()
      local result = command.run({}, { env = with() })
      assert.equal(sample, result.stdout)
      assert.equal("", result.stderr)
      assert.equal(0, result.status)
    end)

    it("may be said, and need not be where options or accounts come first", function()
      assert.equal(sample, command.run({ "check" }, { env = with() }).stdout)
      assert.equal(sample, command.run({ "--timeout", "5" }, { env = with() }).stdout)
      assert.equal(sample, command.run({ "--format=table" }, { env = with() }).stdout)
      assert.matches("^ACCOUNT[^\n]*\nfish[^\n]*\n$", command.run({ "fish" }, { env = with() }).stdout)
    end)

    it("takes the accounts in the order they are named, each once", function()
      local result = command.run({ "check", "suno", "fish/default", "suno/default", "fish" }, { env = with() })
      local rows = split(result.stdout)
      assert.equal(3, #rows)
      assert.matches("^suno +100  credits$", rows[2])
      assert.matches("^fish  +12%.340000  USD$", rows[3])
      assert.equal(0, result.status)
    end)

    it("leaves out accounts without a key where none is named", function()
      local rows = split(command.run({}, { env = only { suno = "sandbox", fish = "sandbox" } }).stdout)
      assert.equal(3, #rows)
      assert.matches("^suno", rows[2])
      assert.matches("^fish", rows[3])
    end)

    it("prints the others when one fails, and ends with 1", function()
      local result = command.run({}, { env = with { SUNO_API_KEY = "sandbox-denied" } })
      local rows = split(result.stdout)
      assert.equal(6, #rows)
      assert.matches("^suno       authentication: .*Unauthorized", rows[3])
      rows[3] = split(sample)[3]
      assert.same(split(sample), rows)
      assert.equal(1, result.status)
      assert.equal("", result.stderr)
    end)

    it("says what kind of failure it was, and when to come back", function()
      local env = only({ fish = "sandbox-limited", srtgen = "sandbox-null", breeze = "whatever" })
      local rows = split(command.run({}, { env = env }).stdout)
      assert.matches("^fish     rate_limited: .*%(retry after 30 s%)$", rows[2])
      assert.matches("^srtgen   protocol: .*totalBalance", rows[3])
      assert.matches("^breeze   authentication: ", rows[4])
    end)

    it("gives up after the timeout", function()
      local before = cqueues.monotime()
      local env = { FISH_API_KEY = "test", FISH_BASE_URL = raw:url("hang"), SUNO_API_KEY = "sandbox",
        SUNO_BASE_URL = sandbox:url() }
      local result = command.run({ "--timeout", "0.4" }, { env = env })
      assert.is_true(cqueues.monotime() - before < 5) -- its own timeout would be 10
      local rows = split(result.stdout)
      assert.matches("^suno +100  credits$", rows[2])
      assert.matches("^fish +timeout: ", rows[3])
      assert.equal(1, result.status)
    end)

    it("asks all at once", function()
      local slow = {}
      for _, name in ipairs { "supertone", "suno", "fish", "srtgen", "breeze" } do slow[name] = "sandbox-slow" end
      local before = cqueues.monotime()
      assert.equal(sample, command.run({}, { env = only(slow) }).stdout)
      assert.is_true(cqueues.monotime() - before < 2 * SLOW)
    end)
  end)

  describe("the table", function()
    local function row(provider, name, body)
      return split(command.run({}, { env = answered(name, provider, body) }).stdout)[2]
    end

    local function fish(credit)
      return row("fish", "credit", ('{"_id":"1","user_id":"2","credit":"%s","created_at":"2026-01-01T00:00:00Z",'
        .. '"updated_at":"2026-01-01T00:00:00Z"}'):format(credit))
    end

    it("groups the digits before the point, and no others", function()
      assert.matches("^fish +1,234,567%.500000  USD$", fish("1234567.500000"))
      assert.matches("^fish +999%.000001  USD$", fish("999.000001"))
      assert.matches("^fish +%-1,000  USD$", fish("-1000"))
      assert.matches("^fish +123,456  USD$", fish("123456"))
    end)

    it("shows an unknown balance as unknown", function()
      local result = command.run({}, { env = only { supertone = "sandbox-null" } })
      assert.matches("\nsupertone +unknown  credits\n$", result.stdout)
      assert.equal(0, result.status)
    end)

    local function plan(name, status)
      return ('{"id":"p","name":"%s","status":"%s","balance":1,"total":2,"resetTime":"2026-05-01T00:00:00Z"}')
        :format(name, status)
    end

    local function srtgen(plans, extra, storage)
      return row("srtgen", "plans", ('{"success":true,"user":{"name":"Alex Rivera","email":"[email protected]"},'
        .. '"credits":{"totalBalance":5,"totalMonthlyCredits":2,"extraCredits":%s,"plans":[%s]},"storage":%s,'
        .. '"updatedAt":"2026-03-29T17:48:46.000Z"}'):format(extra, plans, storage or "null"))
    end

    it("shows every plan, with its status where that is not active", function()
      assert.matches("credits  Starter, Studio %(past_due%), resets 2026%-05%-01$",
        srtgen(plan("Starter", "active") .. "," .. plan("Studio", "past_due"), 0))
    end)

    it("formats storage where the provider does not", function()
      assert.matches("  storage 1%.5 KB of 2 GB$", srtgen("", 0, '{"usage":1536,"limit":2147483648}'))
    end)

    it("keeps people's names and addresses to itself", function()
      local line = srtgen(plan("Starter", "active"), 0)
      assert.is_nil(line:find("Alex", 1, true))
      assert.is_nil(line:find("@", 1, true))
    end)

    it("makes a stranger's text printable, and aligns it", function()
      local name = "Gr\195\182\195\159e\\u001b[31m\\nrow \\u202eback\\u009b2J\255"
      local line = srtgen(plan(name, "active"), 7)
      assert.matches("  Gr\195\182\195\159e %[31m row +back 2J%?, resets 2026%-05%-01, %+7 extra$", line)
    end)

    it("counts top-ups and dates the newest", function()
      local line = row("breeze", "topups", '{"balance":3,"balance_millicredits":3000,"topups":['
        .. '{"topup_id":"a","amount":1,"status":"active","created_at":"2026-03-01T00:00:00Z"},'
        .. '{"topup_id":"b","amount":2,"status":"active","created_at":"2026-06-05T23:59:59Z"},'
        .. '{"topup_id":null,"amount":null,"status":null,"created_at":null}]}')
      assert.matches("^breeze +3%.000  credits  3 top%-ups %(newest 2026%-06%-05%)$", line)
    end)

    it("says nothing of top-ups that are not there", function()
      local result = command.run({}, { env = only { breeze = "sandbox-empty" } })
      assert.is_nil(result.stdout:find("top-up", 1, true))
    end)
  end)

  describe("--format json", function()
    local function document(result)
      assert.equal("", result.stderr)
      return cjson.decode(result.stdout)
    end

    it("is one document with every account's balance", function()
      local before = os.time()
      local result = command.run({ "--format", "json" }, { env = with() })
      local found = document(result)
      assert.equal(0, result.status)
      assert.equal("voicecredits.check.v1", found.schema)
      assert.is_true(found.checked_at >= before and found.checked_at <= os.time())
      assert.equal(5, #found.accounts)
      local fish, srtgen, breeze = found.accounts[3], found.accounts[4], found.accounts[5]
      for _, row in ipairs { fish, srtgen, breeze } do
        for _, varying in ipairs { "fetched_at", "elapsed" } do
          assert.is_number(row.balance[varying])
          row.balance[varying] = nil
        end
      end
      fish.balance.updated_at = nil
      assert.same({ provider = "fish", account = "default", balance = { provider = "fish", account = "default",
        remaining = 12.34, exact = "12.340000", unit = "USD", attempts = 1 } }, fish)
      assert.same({ provider = "srtgen", account = "default", remaining = 1250, exact = "1250", unit = "credits",
        limit = 1000, resets_at = 1777484926, extra = 250, updated_at = 1774806526, attempts = 1,
        plans = { { id = "starter", name = "Starter Plan", status = "active", remaining = 1000, limit = 1000,
          resets_at = 1777484926 } },
        storage = { usage = 209715200, limit = 10737418240, formatted_usage = "200 MB", formatted_limit = "10 GB" },
      }, srtgen.balance)
      assert.same({ { topup_id = "topup_id_01h", amount = 0.5, status = "active", created_at = 1775124930 } },
        breeze.balance.topups)
    end)

    it("has neither the raw answer nor personal data", function()
      local text = command.run({ "--format", "json" }, { env = with() }).stdout
      for _, secret in ipairs { '"raw"', '"user"', "Alex", "@", "totalBalance", "user_id" } do
        assert.is_nil(text:find(secret, 1, true), secret)
      end
    end)

    it("writes whole numbers whole and others in full", function()
      local text = command.run({ "--format", "json" }, { env = with() }).stdout
      for _, number in ipairs { '"limit":10737418240,', '"resets_at":1777484926,', '"remaining":1250,',
          '"remaining":12.34,', '"remaining":0.5,' } do
        assert.is_truthy(text:find(number, 1, true), number)
      end
      assert.is_nil(text:find("e+", 1, true))
      local env = answered("precise", "supertone", '{"balance":1234567890.1234567}')
      assert.matches('"remaining":1234567890%.1234567,', command.run({ "--format", "json" }, { env = env }).stdout)
      env = answered("large", "supertone", '{"balance":1000000000000000}')
      assert.matches('"remaining":1000000000000000,', command.run({ "--format", "json" }, { env = env }).stdout)
    end)

    it("writes lists as arrays even when they are empty, and an unknown balance as null", function()
      local env = only { supertone = "sandbox-null", breeze = "sandbox-empty" }
      local text = command.run({ "--format", "json" }, { env = env }).stdout
      assert.is_truthy(text:find('"topups":[]', 1, true))
      assert.is_truthy(text:find('"remaining":null,"exact":null', 1, true))
      assert.equal(cjson.null, cjson.decode(text).accounts[1].balance.remaining)
    end)

    it("has the failure's fields where there is no balance", function()
      local result = command.run({ "--format", "json", "suno", "fish" }, {
        env = only { suno = "sandbox", fish = "sandbox-limited" } })
      local found = document(result)
      assert.equal(1, result.status)
      assert.equal(100, found.accounts[1].balance.remaining)
      local failure = found.accounts[2].failure
      assert.is_nil(found.accounts[2].balance)
      assert.equal("rate_limited", failure.kind)
      assert.equal(429, failure.status)
      assert.equal(30, failure.retry_after)
      assert.is_true(failure.retryable)
      assert.equal("fish", failure.provider)
      assert.is_string(failure.message)
      assert.is_number(failure.elapsed)
    end)

    it("stays valid whatever text the provider sends", function()
      local env = answered("odd", "breeze", '{"balance":1,"balance_millicredits":1000,"topups":[{"topup_id":'
        .. '"a\\"/\\\\\\u0000\\u001b\\u009b\255\237\160\128\195\182","amount":1,"status":"x","created_at":null}]}')
      local text = command.run({ "--format", "json" }, { env = env }).stdout
      local id = cjson.decode(text).accounts[1].balance.topups[1].topup_id
      assert.equal('a"/\\ ????\195\182', id)
      assert.is_nil(text:find("[%z\1-\9\11-\31\127]"))
      assert.is_nil(text:find("\194\155", 1, true))
    end)

    it("has nothing on stdout where there is nothing to ask", function()
      local result = command.run({ "--format", "json" })
      assert.equal("", result.stdout)
      assert.equal(78, result.status)
    end)
  end)

  describe("guard", function()
    local function guard(words, keys, more)
      table.insert(words, 1, "guard")
      return command.run(words, { env = only(keys, more) })
    end

    it("succeeds where enough is left, and says so on stdout", function()
      local result = guard({ "fish", "--min", "12.34" }, { fish = "sandbox" })
      assert.same({ stdout = "fish: 12.340000 USD, 12.34 wanted: enough\n", stderr = "", status = 0 }, result)
      assert.equal(0, guard({ "srtgen/default", "--min=1250" }, { srtgen = "sandbox" }).status)
      assert.equal(0, guard({ "--min", "0", "suno" }, { suno = "sandbox-empty" }).status)
    end)

    it("ends with 1 where too little is left, and says so on stderr", function()
      local result = guard({ "fish", "--min", "12.35" }, { fish = "sandbox" })
      assert.same({ stdout = "", stderr = "fish: 12.340000 USD, 12.35 wanted: too little\n", status = 1 }, result)
    end)

    it("takes an unknown balance for too little, even to fail open", function()
      local result = guard({ "supertone", "--min", "0", "--fail-open" }, { supertone = "sandbox-null" })
      assert.equal("", result.stdout)
      assert.matches("^supertone: the provider does not say how much is left, 0 wanted\n$", result.stderr)
      assert.equal(1, result.status)
    end)

    it("ends with 69 where it could not check", function()
      local result = guard({ "fish", "--min", "1" }, { fish = "sandbox-denied" })
      assert.equal("", result.stdout)
      assert.matches("^fish: authentication: .*: not checked\n$", result.stderr)
      assert.equal(69, result.status)
    end)

    it("passes where it could not check and is told to, and says so", function()
      local result = guard({ "fish", "--min", "1", "--fail-open" }, { fish = "sandbox-limited" })
      assert.equal("", result.stdout)
      assert.matches("^fish: rate_limited: .*: not checked, and passed because of %-%-fail%-open\n$", result.stderr)
      assert.equal(0, result.status)
    end)

    it("takes 'used up' for too little, even to fail open", function()
      local env = answered("used-up", "suno", '{"code":429,"msg":"The current credits are insufficient","data":null}')
      local result = command.run({ "guard", "suno", "--min", "1", "--fail-open" }, { env = env })
      assert.matches("^suno: exhausted: .*, 1 wanted: too little\n$", result.stderr)
      assert.equal(1, result.status)
    end)

    it("ends with 78 without a key or with a wrong address, even to fail open", function()
      local result = guard({ "fish", "--min", "1", "--fail-open" }, {})
      assert.matches("^fish: configuration: .*FISH_API_KEY", result.stderr)
      assert.equal(78, result.status)
      result = guard({ "fish", "--min", "1" }, { fish = "k" }, { FISH_BASE_URL = "http://203.0.113.7" })
      assert.equal(78, result.status)
    end)
  end)

  describe("providers", function()
    it("lists all five, their variables, and which one ends", function()
      local result = command.run({ "providers" })
      local rows = split(result.stdout)
      assert.equal(6, #rows)
      assert.matches("^PROVIDER +SERVICE +UNIT +KEY +NOTE$", rows[1])
      assert.matches("^supertone +Supertone +credits +SUPERTONE_API_KEY +discontinued 2026%-08%-31$", rows[2])
      assert.matches("^fish +Fish Audio +USD +FISH_API_KEY$", rows[4])
      assert.equal(0, result.status)
    end)

    it("has a document for programs", function()
      local found = cjson.decode(command.run({ "providers", "--format", "json" }).stdout)
      assert.equal("voicecredits.providers.v1", found.schema)
      assert.equal(5, #found.providers)
      assert.equal("https://api.fish.audio", found.providers[3].base_url)
      assert.equal("2026-08-31", found.providers[1].discontinued)
    end)
  end)

  describe("wrong usage", function()
    -- Words, and what the message must hold.
    local cases = {
      { { "fisch" }, "unknown command or provider 'fisch'", "'fish'", "supertone, suno, fish, srtgen, breeze" },
      { { "check", "fish", "sumo" }, "'sumo'", "'suno'" },
      { { "gaurd", "fish" }, "'gaurd'", "'guard'" },
      { { "fish", "guard" }, "the command 'guard' must be the first word" },
      { { "fish/" }, "fish/default" },
      { { "" }, "unknown command or provider" },
      { { "--fromat", "json" }, "unknown option '--fromat'", "'--format'" },
      { { "check", "--tmieout", "1" }, "'--timeout'" },
      { { "--format", "xml" }, "unknown format 'xml'", "--format table or --format json" },
      { { "--format", "jsno" }, "'json'" },
      { { "--format" }, "requires an argument" },
      { { "--timeout", "0" }, "more than 0" },
      { { "--timeout", "soon" }, "number of seconds" },
      { { "--timeout", "0x10" }, "number of seconds" },
      { { "--timeout", "1e999" }, "number of seconds" },
      { { "--timeout", "86401" }, "at most 86400" },
      { { "--api-key", "abc" }, "never taken from the command line" },
      { { "guard" }, "missing argument" },
      { { "guard", "fish" }, "--min" },
      { { "guard", "fish", "--min", "many" }, "number such as 5 or 0.5" },
      { { "guard", "fish", "suno", "--min", "1" }, "too many arguments" },
      { { "guard", "fish", "--min", "1", "--fail-closed" }, "'--fail-open'" },
      { { "providers", "fish" }, "too many arguments" },
      { { "providers", "--format", "csv" }, "unknown format" },
      { { "sandbox", "--port", "65536" }, "0 (any free port) to 65535" },
      { { "sandbox", "--port", "-1" }, "negative" },
      { { "guard", "fish", "--min=-1" }, "number such as 5 or 0.5" },
      { { "sandbox", "--port", "http" }, "whole number" },
    }
    for _, case in ipairs(cases) do
      it("ends with 64: " .. table.concat(case[1], " "), function()
        local result = command.run(case[1], { env = with() })
        assert.equal("", result.stdout)
        assert.matches("^voicecredits: [^\n]+\nusage: voicecredits [^\n]+\n$", result.stderr)
        for i = 2, #case do assert.is_truthy(result.stderr:find(case[i], 1, true), result.stderr) end
        assert.equal(64, result.status)
      end)
    end

    it("shows no word that may be a key", function()
      for _, words in ipairs { { "sk-live-0123456789abcdef" }, { "fish/sk-live-0123456789abcdef" },
          { "--timeout", "sk-live-0123456789abcdef" }, { "--format", "sk-live-0123456789abcdef" },
          { "guard", "fish", "--min", "sk-live-0123456789abcdef" }, { "--api-key=sk-live-0123456789abcdef" } } do
        local result = command.run(words, { env = with() })
        assert.is_nil(result.stderr:find("0123456789", 1, true), result.stderr)
        assert.equal("", result.stdout)
      end
    end)
  end)

  describe("wrong configuration", function()
    it("ends with 78 where no key is anywhere, and says what would help", function()
      local result = command.run({})
      assert.equal("", result.stdout)
      for _, name in ipairs { "SUPERTONE", "SUNO", "FISH", "SRTGEN", "BREEZE" } do
        assert.is_truthy(result.stderr:find(name .. "_API_KEY", 1, true))
      end
      assert.is_truthy(result.stderr:find("'make demo'", 1, true))
      assert.is_truthy(result.stderr:find("'voicecredits sandbox'", 1, true))
      assert.equal(78, result.status)
    end)

    it("takes an empty key for none", function()
      assert.equal(78, command.run({}, { env = { FISH_API_KEY = "" } }).status)
    end)

    it("ends with 78 where every account asked for is misconfigured", function()
      local result = command.run({ "fish", "suno" })
      assert.matches("\nfish +configuration: .*FISH_API_KEY", result.stdout)
      assert.matches("\nsuno +configuration: .*SUNO_API_KEY", result.stdout)
      assert.equal(78, result.status)
    end)

    it("ends with 1 where another account answered", function()
      assert.equal(1, command.run({ "fish", "suno" }, { env = only { suno = "sandbox" } }).status)
    end)

    it("refuses plain http to other machines", function()
      local result = command.run({}, { env = { FISH_API_KEY = "test", FISH_BASE_URL = "http://api.fish.audio" } })
      assert.matches("\nfish +configuration: .*https", result.stdout)
      assert.equal(78, result.status)
    end)

    it("knows no account but default", function()
      for _, words in ipairs { { "fish/studio" }, { "guard", "fish/studio", "--min", "1" } } do
        local result = command.run(words, { env = with() })
        assert.equal("", result.stdout)
        assert.equal("voicecredits: fish has no account 'studio': accounts come from the environment and are called "
          .. "default\n", result.stderr)
        assert.equal(78, result.status)
      end
    end)
  end)

  describe("help and version", function()
    it("are on stdout, with status 0", function()
      local version = command.run({ "--version" })
      assert.matches("^voicecredits %d+%.%d+%.%d+\n$", version.stdout)
      assert.equal(0, version.status)
      for _, words in ipairs { { "--help" }, { "-h" }, { "check", "--help" }, { "guard", "-h" }, { "fish", "--help" },
          { "providers", "--help" }, { "sandbox", "--help" } } do
        local result = command.run(words)
        assert.matches("^Usage: voicecredits ", result.stdout)
        assert.matches("\n$", result.stdout)
        assert.equal("", result.stderr)
        assert.equal(0, result.status)
      end
    end)

    it("name every command", function()
      local text = command.run({ "--help" }).stdout
      for _, word in ipairs { "[check] [PROVIDER[/ACCOUNT] ...] [--format table|json] [--timeout S]",
          "guard PROVIDER[/ACCOUNT] --min N [--fail-open]", "voicecredits providers", "sandbox [--port N]", "78" } do
        assert.is_truthy(text:find(word, 1, true), word)
      end
    end)
  end)

  describe("on a terminal", function()
    local function on_terminal(keys, more, words)
      more = more or {}
      more.TERM = more.TERM or "xterm-256color"
      return command.run(words or {}, { env = only(keys, more), terminal = true })
    end

    it("has colours that say how it stands", function()
      local result = on_terminal { supertone = "sandbox-null", suno = "sandbox-empty", fish = "sandbox",
        breeze = "sandbox-denied" }
      assert.is_truthy(result.stdout:find("\27[1mACCOUNT\27[0m", 1, true))
      assert.is_truthy(result.stdout:find("\27[2munknown\27[0m", 1, true))
      assert.is_truthy(result.stdout:find("\27[33m0\27[0m", 1, true))
      assert.is_truthy(result.stdout:find("\27[1;32m12.340000\27[0m", 1, true))
      assert.matches("\27%[31mauthentication: [^\27\n]*\27%[0m\r\n", result.stdout)
      assert.equal(1, result.status)
    end)

    it("has none where NO_COLOR is set, unless that is empty", function()
      assert.is_nil(on_terminal({ fish = "sandbox" }, { NO_COLOR = "1" }).stdout:find("\27%[[%d;]*m"))
      assert.is_truthy(on_terminal({ fish = "sandbox" }, { NO_COLOR = "" }).stdout:find("\27[1;32m", 1, true))
    end)

    it("sends a dumb terminal no sequences at all", function()
      assert.is_nil(on_terminal({ fish = "sandbox" }, { TERM = "dumb" }).stdout:find("\27", 1, true))
    end)

    it("lines columns up as it does without colours", function()
      local plain = command.run({}, { env = with() }).stdout
      local coloured = command.run({}, { env = with { TERM = "xterm" }, terminal = true }).stdout
      assert.equal(plain, (coloured:gsub("\r\n", "\n"):gsub("\r\27%[Kwaiting for [^\r]*", ""):gsub("\r\27%[K", "")
        :gsub("\27%[[%d;]*m", "")))
    end)

    it("shows which accounts are still out, and takes that away at the end", function()
      local text = on_terminal({ suno = "sandbox", fish = "sandbox-slow" }).stdout
      assert.is_truthy(text:find("\r\27[Kwaiting for suno, fish", 1, true))
      assert.is_truthy(text:find("\r\27[Kwaiting for fish\r\27[K", 1, true))
      local after = text:match(".*waiting for (.*)")
      assert.matches("^fish\r\27%[K\27%[1mACCOUNT", after)
    end)

    it("shows that only on a terminal", function()
      local result = command.run({}, { env = only({ fish = "sandbox-slow" }, { TERM = "xterm" }) })
      assert.equal("", result.stderr)
      result = command.run({}, { env = only({ fish = "sandbox" }, { TERM = "xterm" }), terminal = true,
        redirect = "2>/dev/null" })
      assert.is_nil(result.stdout:find("waiting", 1, true))
      assert.is_truthy(result.stdout:find("\27[1;32m", 1, true))
    end)

    it("has no colours in a pipe, whatever stderr is", function()
      local result = command.run({}, { env = only({ fish = "sandbox" }, { TERM = "xterm" }), terminal = true,
        redirect = "| cat" })
      assert.is_nil(result.stdout:find("\27%[[%d;]*m"))
    end)
  end)

  describe("a key", function()
    local KEY = "sk-live-0123456789abcdef-not-real"

    it("is in no output, whatever goes wrong", function()
      local keys = { supertone = KEY, suno = KEY, fish = KEY, srtgen = KEY, breeze = KEY }
      raw:set("echo", support.response(401, ('{"message":"wrong key %s","status":401}'):format(KEY)))
      for _, more in ipairs { {}, { FISH_BASE_URL = raw:url("echo") }, { FISH_BASE_URL = raw:url("close-early") },
          { FISH_BASE_URL = "http://example.org/" .. KEY }, { SUNO_BASE_URL = "ftp://x" } } do
        for _, format in ipairs { "table", "json" } do
          local result = command.run({ "--format", format, "--timeout", "1" }, { env = only(keys, more) })
          assert.is_nil((result.stdout .. result.stderr):find(KEY, 1, true))
          assert.equal(1, result.status)
        end
      end
      local result = command.run({ "guard", "fish", "--min", "1" }, { env = only(keys) })
      assert.is_nil((result.stdout .. result.stderr):find(KEY, 1, true))
    end)

    it("is in no process's arguments", function()
      local running = start_hanging(KEY)
      local found = all_arguments()
      running:signal("INT")
      running:finish()
      assert.is_truthy(found:find("bin/voicecredits fish", 1, true))
      assert.is_nil(found:find(KEY, 1, true))
    end)
  end)

  describe("when something is broken", function()
    local one = "^voicecredits: [^\n]+\n$"

    it("Ctrl-C ends a check at once, in one line", function()
      local running = start_hanging("test")
      local before = cqueues.monotime()
      running:signal("INT")
      local result = running:finish()
      assert.is_true(cqueues.monotime() - before < 5) -- its timeout is 10
      assert.same({ stdout = "", stderr = "voicecredits: interrupted\n", status = 130 }, result)
    end)

    it("a full disk is told in one line", function()
      local result = command.run({}, { env = with(), redirect = ">/dev/full" })
      assert.matches(one, result.stderr)
      assert.equal(74, result.status)
    end)

    it("a closed stdout is told in one line", function()
      local result = command.run({ "guard", "fish", "--min", "1" }, { env = with(), redirect = ">&-" })
      assert.matches(one, result.stderr)
      assert.equal(74, result.status)
    end)

    it("a reader that has gone ends it without a traceback", function()
      for _, before in ipairs { "", "trap '' PIPE" } do
        local result = command.run({}, { env = with(), before = before, redirect = "| true" })
        assert.is_nil(result.stderr:find("traceback", 1, true))
        assert.is_nil(result.stderr:find("\n.*\n"))
      end
    end)

    -- A script that hides a module before the command runs.
    local function without(modules, words, env)
      local program = os.tmpname()
      local file = assert(io.open(program, "w"))
      for _, name in ipairs(modules) do
        file:write(("package.preload[%q] = function() error(\"module '%s' not found:\\n\\tno field\", 0) end\n")
          :format(name, name))
      end
      file:write('package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path\n')
      file:write(('package.cpath = %q .. package.cpath\n'):format(package.cpath .. ";"))
      file:write('os.exit(require("voicecredits.cli").main(arg), true)\n')
      file:close()
      local result = command.run(words, { env = env, program = program })
      os.remove(program)
      return result
    end

    it("a missing module is told in one line, with what to install", function()
      local hints = { ["voicecredits.core"] = "make", ["cjson"] = "lua%-cjson", ["argparse"] = "lua%-argparse" }
      for missing, hint in pairs(hints) do
        local result = without({ missing }, {}, with())
        assert.matches(one, result.stderr)
        assert.matches(hint, result.stderr)
        assert.equal("", result.stdout)
        assert.equal(69, result.status)
      end
    end)

    it("without lua-http only the sandbox is missing", function()
      local result = without({ "http.server", "cqueues" }, { "sandbox" })
      assert.matches(one, result.stderr)
      assert.matches("lua%-http", result.stderr)
      assert.equal(69, result.status)
      assert.equal(sample, without({ "http.server", "cqueues" }, {}, with()).stdout)
    end)

    it("without lua-term it is plain everywhere", function()
      local result = without({ "term" }, {}, with { TERM = "xterm" })
      assert.equal(sample, result.stdout)
    end)

    it("its own mistake is one line and status 70", function()
      local program = os.tmpname()
      local file = assert(io.open(program, "w"))
      file:write('package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path\n')
      file:write(('package.cpath = %q .. package.cpath\n'):format(package.cpath .. ";"))
      file:write('require("voicecredits.report").check = function() local none; return none.field end\n')
      file:write('os.exit(require("voicecredits.cli").main(arg), true)\n')
      file:close()
      local result = command.run({}, { env = with(), program = program })
      os.remove(program)
      assert.matches(one, result.stderr)
      assert.equal("", result.stdout)
      assert.equal(70, result.status)
    end)
  end)

  describe("sandbox", function()
    it("says how to use it, serves, and ends quietly with Ctrl-C", function()
      local running = command.start({ "sandbox", "--port", "0" })
      local text = running:wait_for("sandbox%-slow[^\n]*\n$")
      local port = tonumber(text:match("http://127%.0%.0%.1:(%d+)"))
      local env, count = {}, 0
      for name, value in text:gmatch("\n  export ([%u_]+)=(%S+)") do
        env[name], count = value, count + 1
      end
      assert.equal(10, count)
      assert.equal(("http://127.0.0.1:%d"):format(port), env.FISH_BASE_URL)
      assert.equal(sample, command.run({}, { env = env }).stdout)
      running:signal("INT")
      local result = running:finish()
      assert.equal("", result.stderr)
      assert.equal(0, result.status)
    end)

    it("names only keys that the sandbox knows", function()
      local running = command.start({ "sandbox" })
      local text = running:wait_for("sandbox%-slow[^\n]*\n$")
      running:signal("INT")
      running:finish()
      local answer = require("voicecredits.sandbox").answer
      local refused = answer("GET", "/v1/credits", {}).body
      local count = 0
      for key in text:gmatch("\n  (sandbox%S*)  ") do
        local body = answer("GET", "/v1/credits", { ["x-sup-api-key"] = key }).body
        assert.equal(key == "sandbox-denied", body == refused, key)
        count = count + 1
      end
      assert.equal(7, count)
    end)

    it("ends with 69 where the port is taken", function()
      local result = command.run({ "sandbox", "--port", tostring(sandbox.port) })
      assert.equal("", result.stdout)
      assert.matches("^voicecredits: port %d+ [^\n]+\n$", result.stderr)
      assert.equal(69, result.status)
    end)
  end)

  describe("the demo", function()
    -- In a folder of its own, with an interpreter of a name of its own, so that what is left can be told from all else.
    local function run_demo(interpreter)
      local list = assert(io.popen("mktemp -d", "r"))
      local home = list:read("*l")
      list:close()
      list = assert(io.popen(("ln -s \"$(command -v %s)\" %s/lua; env LUA=%s/lua TMPDIR=%s sh examples/demo.sh 2>&1; "
        .. "echo \"status $?\"; rm %s/lua; ls -A %s"):format(interpreter, home, home, home, home, home), "r"))
      local text = list:read("*a")
      list:close()
      os.remove(home)
      local shown, status, left = text:match("^(.*)status (%d+)\n(.*)$")
      assert.equal("", left)
      assert.is_nil(all_arguments():find(home, 1, true))
      return shown, tonumber(status)
    end

    it("shows five accounts with the documented amounts, and leaves nothing behind", function()
      local shown, status = run_demo(os.getenv("LUA") or "lua5.4")
      assert.matches("^Five accounts[^\n]*\n\n", shown)
      assert.is_truthy(shown:find("\n\n" .. sample, 1, true), shown)
      assert.equal(0, status)
    end)

    it("says so where the sandbox does not start, and leaves nothing behind", function()
      local shown, status = run_demo("false")
      assert.matches("^demo: the sandbox did not start", shown)
      assert.equal(69, status)
    end)
  end)
end)
