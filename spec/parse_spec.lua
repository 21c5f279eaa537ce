-- Every documented answer, and what is not documented, through voicecredits.parse.

local voicecredits = require "voicecredits"
local fixtures = require "spec.fixtures"
local expecting = require "spec.support.expecting"

local function parse(provider, body, status, headers)
  return voicecredits.parse(provider, { status = status or 200, headers = headers or {}, body = body })
end

local function protocol(provider, body, text, status, headers)
  local balance, failure = parse(provider, body, status, headers)
  assert.is_nil(balance)
  assert.equal("protocol", failure.kind)
  assert.is_false(failure.retryable)
  if text then assert.truthy(failure.message:find(text, 1, true), failure.message) end
  return failure
end

describe("every fixture through parse:", function()
  for _, fixture in ipairs(fixtures) do
    it(("%s, %s"):format(fixture.provider, fixture.name), function()
      local response = { status = fixture.status, headers = fixture.headers, body = fixtures.load(fixture) }
      expecting.answer(fixture, voicecredits.parse(fixture.provider, response))
    end)
  end
end)

describe("a balance", function()
  local srtgen = fixtures.load(fixtures.find("srtgen", "sample"))

  it("keeps the decoded body in raw, untouched, with null as voicecredits.null", function()
    local balance = parse("breeze", '{"balance":1,"new":{"a":[1,null]},"balance_millicredits":null}')
    assert.same({ a = { 1, voicecredits.null } }, balance.raw.new)
    assert.equal(voicecredits.null, balance.raw.balance_millicredits)
  end)

  it("prints provider, account, amount and unit, and nobody's name or e-mail", function()
    local balance = voicecredits.parse("srtgen", { status = 200, body = srtgen }, { account = "studio" })
    assert.equal("srtgen/studio: 1250 credits", tostring(balance))
    assert.equal("fish/default: 12.30 USD", tostring(parse("fish", '{"credit":"12.30"}')))
    local long = ("7"):rep(200) .. ".5"
    assert.equal("fish/default: " .. long .. " USD", tostring(parse("fish", ('{"credit":"%s"}'):format(long))))
    assert.equal("supertone/default: unknown credits", tostring(parse("supertone", '{"balance":null}')))
  end)

  it("has integers for whole numbers where Lua has them", function()
    local balance = parse("srtgen", srtgen)
    local as_text = math.type and "%s" or "%.0f"
    assert.equal("1250", as_text:format(balance.remaining))
    assert.equal("10737418240", as_text:format(balance.storage.limit))
    assert.equal("1777484926", as_text:format(balance.resets_at))
  end)

  it("has its number's shortest text that reads back as the same number", function()
    for text, exact in pairs { ["1250"] = "1250", ["1250.0"] = "1250", ["0.5"] = "0.5", ["0.1"] = "0.1", ["1.10"] = "1.1",
                               ["-0"] = "0", ["-3.25"] = "-3.25", ["123456789012345.6"] = "123456789012345.6",
                               ["1e3"] = "1000", ["5e-324"] = "5e-324", ["3.2e-310"] = "3.2e-310" } do
      local balance = assert(parse("supertone", '{"balance":' .. text .. "}"))
      assert.equal(exact, balance.exact)
      assert.equal(tonumber(text), balance.remaining)
    end
  end)

  it("keeps Fish's decimal text digit for digit", function()
    for _, text in ipairs { "12.340000", "0", "0.000001", "007", "-5", "-0.50" } do
      local balance = assert(parse("fish", ('{"credit":"%s"}'):format(text)))
      assert.equal(text, balance.exact)
      assert.equal(tonumber(text), balance.remaining)
    end
  end)

  it("has Breeze's millicredits as three decimals where they agree", function()
    local function exact(balance, milli)
      return assert(parse("breeze", ('{"balance":%s,"balance_millicredits":%s}'):format(balance, milli))).exact
    end
    assert.equal("12.500", exact("12.5", "12500"))
    assert.equal("-0.250", exact("-0.25", "-250"))
    assert.equal("0.000", exact("0", "0"))
    assert.equal("0.5", exact("0.5", "1"))
    assert.equal("7", exact("7", "null"))
  end)

  it("keeps the fields of a top-up that are not known, and leaves out the nulls of those that are", function()
    local balance = parse("breeze", '{"balance":1,"topups":[{"topup_id":null,"amount":2,"colour":"blue"},{}]}')
    assert.same({ { amount = 2, colour = "blue" }, {} }, balance.topups)
  end)

  it("takes the first reset of several plans", function()
    local balance = parse("srtgen", [[{"success":true,"credits":{"totalBalance":3,"plans":[
      {"resetTime":"2026-05-01T00:00:00Z"},{"resetTime":"2026-04-01T00:00:00Z"},{}]}}]])
    assert.equal(1775001600, balance.resets_at)
  end)

  it("has times as epoch seconds, whatever the zone", function()
    local function time(text) return (assert(parse("fish", ('{"credit":"1","updated_at":"%s"}'):format(text))).updated_at) end
    assert.equal(1774806526, time "2026-03-29T17:48:46.000Z")
    assert.equal(1774806526.25, time "2026-03-29T17:48:46.25Z")
    assert.equal(1774806526, time "2026-03-30T02:48:46+09:00")
    assert.equal(1774806526, time "2026-03-29T12:18:46-0530")
    assert.equal(1774806526, time "2026-03-29 17:48:46")
    assert.equal(1774742400, time "2026-03-29")
    assert.equal(951782400, time "2000-02-29T00:00:00Z")
    assert.equal(-1, time "1969-12-31T23:59:59Z")
  end)

  it("has the request id that Breeze's support asks for", function()
    local balance = parse("breeze", '{"balance":1}', 200, { ["X-Breeze-Api-Key-Id"] = "key_1" })
    assert.equal("key_1", balance.request_id)
  end)

  it("tells when it was fetched", function()
    local before = os.time()
    local balance = parse("suno", '{"code":200,"data":1}')
    assert.is_true(balance.fetched_at >= before and balance.fetched_at <= os.time())
    assert.equal(1, balance.attempts)
  end)
end)

describe("a field that is not as documented is a protocol failure that names it:", function()
  local long = ("9"):rep(400)
  for _, case in ipairs {
    { "supertone", '{}', "balance: expected a number, found nothing" },
    { "supertone", '{"balance":"12"}', "balance: expected a number, found a string" },
    { "supertone", '{"balance":true}', "balance: expected a number, found a boolean" },
    { "supertone", '{"balance":1e400}', "balance: expected a number, found a number out of range" },
    { "supertone", '{"balance":-1e400}', "out of range" },
    { "suno", '{"data":100}', "code: expected an integer, found nothing" },
    { "suno", '{"code":"200","data":100}', "code: expected an integer, found a string" },
    { "suno", '{"code":200,"msg":"success"}', "data: expected an integer, found nothing" },
    { "suno", '{"code":200,"data":null}', "data: expected an integer, found null" },
    { "suno", '{"code":200,"data":1.5}', "data: expected an integer, found a fraction" },
    { "suno", '{"code":200,"data":"100"}', "data: expected an integer, found a string" },
    { "suno", '{"code":200,"data":[1]}', "data: expected an integer, found an array" },
    { "suno", '{"code":418,"msg":"odd"}', "code 418: odd" },
    { "fish", '{}', "credit: expected a decimal number in a string, found nothing" },
    { "fish", '{"credit":null}', "credit: expected a decimal number in a string, found null" },
    { "fish", '{"credit":12.3}', "credit: expected a decimal number in a string, found a number" },
    { "fish", '{"credit":"12,30"}', "credit: expected a decimal number in a string, found a string of another form" },
    { "fish", '{"credit":""}', "credit: expected a decimal number in a string, found an empty string" },
    { "fish", '{"credit":"abc"}', "credit" }, { "fish", '{"credit":"1e999"}', "credit" }, { "fish", '{"credit":"1e3"}', "credit" },
    { "fish", '{"credit":"0x10"}', "credit" }, { "fish", '{"credit":"12."}', "credit" }, { "fish", '{"credit":".5"}', "credit" },
    { "fish", '{"credit":" 12"}', "credit" }, { "fish", '{"credit":"+5"}', "credit" }, { "fish", '{"credit":"-"}', "credit" },
    { "fish", '{"credit":"1,000.00"}', "credit" }, { "fish", '{"credit":"nan"}', "credit" }, { "fish", '{"credit":"inf"}', "credit" },
    { "fish", '{"credit":"1\\u00002"}', "credit" }, { "fish", '{"credit":"' .. long .. '"}', "credit" },
    { "fish", '{"credit":"1","updated_at":"yesterday"}', "updated_at: expected an ISO 8601 time, found other text" },
    { "fish", '{"credit":"1","updated_at":"2026-02-30T00:00:00Z"}', "updated_at" },
    { "fish", '{"credit":"1","updated_at":"2026-03-30T02:48:46+09:"}', "updated_at" },
    { "fish", '{"credit":"1","updated_at":"2026-03-29T17:48.5Z"}', "updated_at" },
    { "fish", '{"credit":"1","updated_at":7}', "updated_at: expected an ISO 8601 time, found a number" },
    { "srtgen", '{"credits":{"totalBalance":1}}', "success" },
    { "srtgen", '{"success":"true","credits":{"totalBalance":1}}', "success" },
    { "srtgen", '{"success":true}', "credits: expected an object, found nothing" },
    { "srtgen", '{"success":true,"credits":[1]}', "credits: expected an object, found an array" },
    { "srtgen", '{"success":true,"credits":{}}', "credits.totalBalance: expected a number, found nothing" },
    { "srtgen", '{"success":true,"credits":{"totalBalance":null}}', "credits.totalBalance: expected a number, found null" },
    { "srtgen", '{"success":true,"credits":{"totalBalance":1,"plans":{"a":1}}}', "credits.plans: expected an array, found an object" },
    { "srtgen", '{"success":true,"credits":{"totalBalance":1,"plans":[{},7]}}', "credits.plans[2]: expected an object, found a number" },
    { "srtgen", '{"success":true,"credits":{"totalBalance":1,"plans":[{"balance":"x"}]}}',
      "credits.plans[1].balance: expected a number, found a string" },
    { "srtgen", '{"success":true,"credits":{"totalBalance":1},"storage":{"limit":"big"}}', "storage.limit: expected a number" },
    { "breeze", '{}', "balance: expected a number, found nothing" },
    { "breeze", '{"balance":null}', "balance: expected a number, found null" },
    { "breeze", '{"balance":"1"}', "balance: expected a number, found a string" },
    { "breeze", '{"balance":1,"balance_millicredits":1.5}', "balance_millicredits: expected an integer, found a fraction" },
    { "breeze", '{"balance":1,"topups":"none"}', "topups: expected an array, found a string" },
    { "breeze", '{"balance":1,"topups":[{"amount":"x"}]}', "topups[1].amount: expected a number, found a string" },
  } do
    it(("%s %s"):format(case[1], case[2]:sub(1, 60)), function()
      local failure = protocol(case[1], case[2], case[3])
      assert.is_nil(failure.message:find("yesterday", 1, true), "shows the content")
    end)
  end
end)

describe("a body that is no JSON object is a protocol failure, at every provider:", function()
  local bodies = {
    { "empty", "", "an empty body" }, { "HTML", "<!doctype html><p>Hello", "an HTML page" },
    { "truncated", '{"balance":1', "not JSON" }, { "text", "balance: 1", "not JSON" },
    { "number", "12", "JSON that is no object" }, { "string", '"12"', "JSON that is no object" },
    { "null", "null", "JSON that is no object" }, { "array", "[1,2]", "a JSON array" },
    { "NaN", '{"balance":NaN}', "not JSON" }, { "Infinity", '{"balance":Infinity}', "not JSON" },
    { "hexadecimal", '{"balance":0x10}', "not JSON" }, { "two documents", '{"balance":1}{"balance":2}', "not JSON" },
    { "65 levels", '{"balance":1,"x":' .. ("["):rep(65) .. ("]"):rep(65) .. "}", "not JSON" },
    { "NUL bytes", "\0\0\0", "not JSON" }, { "NUL after a document", '{"balance":1}\0{"balance":2}', "not JSON" },
    { "UTF-16", "{\0}\0", "not JSON" },
  }
  for _, provider in ipairs { "supertone", "suno", "fish", "srtgen", "breeze" } do
    for _, case in ipairs(bodies) do
      it(provider .. ", " .. case[1], function() protocol(provider, case[2], case[3]) end)
    end
    it(provider .. ", no body at all", function() protocol(provider, nil, "an empty body") end)
    it(provider .. ", every truncation of the sample", function()
      local sample = fixtures.load(fixtures.find(provider, "sample")):gsub("%s+$", "")
      for length = 0, #sample - 1 do protocol(provider, sample:sub(1, length)) end
    end)
  end
end)

describe("an answer", function()
  it("of 1 MiB is read, and of one byte more is a protocol failure", function()
    local limit, start, rest = 1024 * 1024, '{"balance":1,"x":"', '"}'
    local body = start .. ("y"):rep(limit - #start - #rest) .. rest
    assert.equal(1, assert(parse("supertone", body)).remaining)
    protocol("supertone", body .. " ", "more than 1024 KiB")
  end)

  it("that is compressed is a protocol failure", function()
    protocol("supertone", "\31\139\8", "gzip", 200, { ["Content-Encoding"] = "gzip" })
    protocol("supertone", '{"balance":1}', "br", 200, { ["CONTENT-ENCODING"] = { "identity", "br" } })
    assert.equal(1, assert(parse("supertone", '{"balance":1}', 200, { ["content-encoding"] = "identity" })).remaining)
  end)

  it("that redirects or is of another class than 200 is a protocol failure", function()
    for _, status in ipairs { 301, 302, 303, 304, 307, 308 } do
      protocol("suno", '{"code":200,"data":1}', "redirect", status, { location = "https://elsewhere.example/" })
    end
    for _, status in ipairs { 201, 202, 204, 206 } do protocol("suno", '{"code":200,"data":1}', tostring(status), status) end
  end)

  it("with another HTTP status than 200 is no balance, whatever its body says", function()
    for _, status in ipairs { 400, 401, 404, 429, 500, 503 } do
      local balance, failure = parse("suno", '{"code":200,"msg":"success","data":100}', status)
      assert.is_nil(balance)
      assert.equal(status, failure.status)
    end
  end)

  it("with HTTP 200 is no balance where the body says that something went wrong", function()
    for _, case in ipairs {
      { "supertone", '{"status":"error","message":{"statusCode":401,"message":"m"},"balance":5}', "authentication" },
      { "supertone", '{"status":"error","message":"m","balance":5}', "protocol" },
      { "suno", '{"code":401,"msg":"m","data":5}', "authentication" },
      { "fish", '{"status":402,"message":"m","credit":"5"}', "exhausted" },
      { "srtgen", '{"success":false,"error":"unauthorized","message":"m","credits":{"totalBalance":5}}', "authentication" },
      { "srtgen", '{"success":false,"message":"m","credits":{"totalBalance":5}}', "protocol" },
      { "breeze", '{"ok":false,"code":"BILLING_INSUFFICIENT_CREDITS","detail":"m","balance":5}', "exhausted" },
    } do
      local balance, failure = parse(case[1], case[2])
      assert.is_nil(balance)
      assert.equal(case[3], failure.kind)
      assert.truthy(failure.message:find(": m$"), failure.message)
    end
  end)

  it("has the kind of its HTTP status where the provider says nothing better", function()
    local kinds = { [400] = "invalid_request", [401] = "authentication", [402] = "exhausted", [403] = "permission",
                    [404] = "not_found", [405] = "invalid_request", [407] = "invalid_request", [408] = "unavailable",
                    [409] = "invalid_request", [410] = "not_found", [413] = "invalid_request", [415] = "invalid_request",
                    [418] = "invalid_request", [422] = "invalid_request", [425] = "unavailable", [429] = "rate_limited",
                    [500] = "unavailable", [502] = "unavailable", [503] = "unavailable", [599] = "unavailable" }
    for status, kind in pairs(kinds) do
      for _, body in ipairs { "", "{}", "[]", "<html>", '{"message":7,"error":{},"code":[],"detail":null}' } do
        for _, provider in ipairs { "supertone", "suno", "fish", "srtgen", "breeze" } do
          local _, failure = parse(provider, body, status)
          assert.equal(kind, failure.kind)
          assert.equal(kind == "unavailable" or kind == "rate_limited", failure.retryable)
          assert.equal(status, failure.status)
        end
      end
    end
  end)

  it("with Retry-After tells the seconds, of a number and of a date", function()
    local function retry_after(value)
      local _, failure = parse("fish", "{}", 429, { ["Retry-After"] = value })
      return failure.retry_after
    end
    assert.equal(30, retry_after "30")
    assert.equal(0, retry_after "0")
    assert.equal(30, retry_after { "30", "60" })
    assert.equal(0, retry_after "Wed, 21 Oct 2015 07:28:00 GMT")
    local hour = retry_after(os.date("!%a, %d %b %Y %H:%M:%S GMT", os.time() + 3600))
    assert.is_true(hour > 3500 and hour <= 3600)
    for _, nonsense in ipairs { "-5", "soon", "", "1.5", "0x10", "Tuesday", ("9"):rep(64) } do assert.is_nil(retry_after(nonsense)) end
  end)

  it("with a page of a service that announced its end says so", function()
    local _, gone = parse("supertone", "<html>", 410)
    assert.truthy(gone.message:find("2026-08-31", 1, true))
    local page = protocol("supertone", "<html>goodbye</html>", "2026-08-31")
    assert.is_nil(page.message:find("goodbye", 1, true))
    local _, other = parse("fish", "<html>", 404)
    assert.is_nil(other.message:find("2026", 1, true))
  end)
end)

describe("a failure", function()
  it("prints as one line", function()
    local _, failure = voicecredits.parse("fish", { status = 429, headers = { ["retry-after"] = "30" },
      body = '{"status":429,"message":"slow\\r\\n  down"}' }, { account = "studio" })
    assert.equal("fish/studio: rate_limited: HTTP 429: slow down (retry after 30 s)", tostring(failure))
  end)

  it("never shows the key, however the provider repeats it", function()
    local key = "sk-0123456789abcdef"
    for _, case in ipairs {
      { "fish", ('{"status":401,"message":"bad key %s","reason":"%s"}'):format(key, key) },
      { "fish", "bad key " .. key, { ["content-type"] = "text/plain" } },
      { "suno", ('{"code":401,"msg":"%s%s"}'):format(key, key) },
      { "srtgen", ('{"success":false,"error":"%s","message":"%s"}'):format(key, ("x"):rep(190) .. key) },
      { "breeze", ('{"code":"%s","detail":"%s"}'):format(key, key), { ["x-breeze-api-key-id"] = key } },
      { "supertone", ('{"message":{"message":["%s","%s"]}}'):format(key, key) },
    } do
      local _, failure = voicecredits.parse(case[1], { status = 401, headers = case[3], body = case[2] }, { api_key = key })
      for _, value in pairs(failure) do assert.is_nil(tostring(value):find("0123456789", 1, true), tostring(value)) end
      assert.truthy(tostring(failure))
    end
  end)

  it("never shows the start of a key in a header that is cut", function()
    local key = "sk-0123456789abcdefghijklmnopqrstuv"
    local function start_of_key(failure) return (failure.message .. (failure.request_id or "")):find("sk-0", 1, true) end
    for _, headers in ipairs { { ["content-encoding"] = key }, { ["content-encoding"] = ("x"):rep(20) .. key },
                               { ["x-breeze-api-key-id"] = ("x"):rep(70) .. key } } do
      local _, failure = voicecredits.parse("breeze", { status = 200, headers = headers, body = "" }, { api_key = key })
      assert.is_nil(start_of_key(failure), failure.message)
    end
  end)

  it("never shows a key that begins in a part of itself", function()
    local key = "sk-zyxwvuts-and-more-0001"
    local body = ('{"status":"error","message":"no %s%s here"}'):format(key:sub(1, 10), key) -- the part goes on with the s
    local _, failure = voicecredits.parse("supertone", { status = 400, headers = {}, body = body }, { api_key = key })
    assert.equal("HTTP 400: no [key] here", failure.message)
  end)

  it("quotes nothing that is not seen, and ends with no space where it is cut", function()
    local hidden = { "\\u061c", "\\u180e", "\\u200b", "\\u2066", "\\ufeff", "\\ufff9", "\\udb40\\udc41", "\\u0085" }
    for _, character in ipairs(hidden) do
      local _, failure = parse("fish", ('{"status":401,"message":"a%sb"}'):format(character), 401)
      assert.equal("HTTP 401: a b", failure.message, character)
    end
    local _, cut = parse("fish", ('{"status":401,"message":"%s b"}'):format(("a"):rep(200 - #"HTTP 401: " - 1)), 401)
    assert.truthy(cut.message:find("a$"), cut.message)
  end)

  it("quotes at most 200 printable characters", function()
    local body = ('{"status":401,"message":"%s"}'):format(("\\u001b[31m\\u0000\\u202e\\t é"):rep(200))
    local _, failure = parse("fish", body, 401)
    local characters = failure.message:gsub("[\128-\191]", "")
    assert.is_true(#characters <= 200)
    assert.is_nil(failure.message:find("[%c]"))
    assert.is_nil(failure.message:find("\226\128\174", 1, true))
    local _, invalid = parse("fish", '{"status":401,"message":"a\255\192\128b"}', 401)
    assert.equal("HTTP 401: a???b", invalid.message)
  end)
end)

describe("parse takes what any HTTP client gives:", function()
  it("header names of any case, repeated headers as tables, other entries passed over", function()
    local balance = parse("breeze", '{"balance":1}', 200,
      { ["x-BREEZE-api-key-id"] = { "first", "second" }, [1] = "x", count = 7, list = { {}, 5 } })
    assert.equal("first", balance.request_id)
  end)

  it("but not what is no answer", function()
    for _, case in ipairs {
      { {}, "'status'" }, { { status = "200" }, "'status'" }, { { status = 2.5 }, "'status'" },
      { { status = 200, body = 5 }, "'body'" }, { { status = 200, headers = "x" }, "'headers'" },
    } do
      local ok, problem = pcall(voicecredits.parse, "fish", case[1])
      assert.is_false(ok)
      assert.truthy(problem:find(case[2], 1, true), problem)
    end
    assert.has_error(function() voicecredits.parse("fish") end)
  end)
end)

describe("a host's own cjson", function()
  it("neither changes the module nor is changed by it", function()
    local cjson = require "cjson"
    cjson.decode_max_depth(3)
    cjson.decode_invalid_numbers(true)
    local deep = parse("supertone", '{"balance":1,"x":[[[[[1]]]]]}')
    assert.equal(1, deep and deep.remaining)
    protocol("supertone", '{"balance":NaN}', "not JSON")
    assert.equal(3, cjson.decode_max_depth())
    assert.is_true(cjson.decode_invalid_numbers())
    cjson.decode_max_depth(1000)
  end)
end)

describe("decimal text, numbers and times are read the same", function()
  local script = [[
    local before = arg[1] == "before"
    if before then assert(os.setlocale("de_DE.UTF-8")) end
    local voicecredits = require "voicecredits"
    local function parse(provider, body) return assert(voicecredits.parse(provider, { status = 200, body = body })) end
    parse("supertone", "{\"balance\":1.5}")
    if not before then assert(os.setlocale("de_DE.UTF-8")) end
    assert(rawget(_G, "jit") or ("%.1f"):format(1.5) == "1,5") -- LuaJIT writes numbers the same in every locale
    local fish = parse("fish", "{\"credit\":\"12.340000\",\"updated_at\":\"2026-03-29T17:48:46.5\"}")
    local supertone, breeze = parse("supertone", "{\"balance\":0.5}"), parse("breeze", "{\"balance\":12.5,\"balance_millicredits\":12500}")
    assert(fish.remaining * 100 == 1234 and fish.updated_at * 2 == 2 * 1774806526 + 1)
    assert(supertone.remaining * 2 == 1 and breeze.remaining * 2 == 25)
    io.write(fish.exact, " ", supertone.exact, " ", breeze.exact)
  ]]

  -- A locale with a decimal comma, made for this test, and a time zone far from UTC.
  local function run(when)
    local pipe = assert(io.popen(([[
      folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
      localedef -i de_DE -f UTF-8 "$folder/de_DE.UTF-8"
      cat >"$folder/script.lua" <<'END'
%s
END
      LOCPATH="$folder" TZ=Pacific/Auckland %s "$folder/script.lua" %s 2>&1]]):format(script, os.getenv "LUA" or "lua5.4", when)))
    local output = pipe:read "*a"
    pipe:close()
    return output
  end

  it("in a locale with a decimal comma, chosen before or after the module is loaded", function()
    assert.equal("12.340000 0.5 12.500", run "before")
    assert.equal("12.340000 0.5 12.500", run "after")
  end)
end)
