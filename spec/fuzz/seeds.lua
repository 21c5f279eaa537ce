-- Writes the seed corpus of each fuzz target into a folder: the fixtures as answers in the targets' text form, what is
-- nearly one of them, and every time, amount and Retry-After that stands in them. Usage: lua seeds.lua FOLDER

local fixtures = require "spec.fixtures"
local folder = assert(arg[1], "usage: lua seeds.lua FOLDER")

local count = {}

local function write(target, text)
  if not count[target] then assert(os.execute(("mkdir -p '%s/%s'"):format(folder, target))) end
  count[target] = (count[target] or 0) + 1
  local file = assert(io.open(("%s/%s/%03d"):format(folder, target, count[target]), "wb"))
  assert(file:write(text))
  file:close()
end

local function answer(fixture, body, status)
  local lines = { tostring(status or fixture.status) }
  for name, value in pairs(fixture.headers) do lines[#lines + 1] = ("%s: %s"):format(name, value) end
  return table.concat(lines, "\n") .. "\n\n" .. body
end

-- What is one step away from a balance and must be none: amounts that no number holds, and another status.
local function write_variants(fixture, body)
  local target, digits = "parse_" .. fixture.provider, ("9"):rep(310)
  write(target, answer(fixture, (body:gsub(":%s*%-?%d[%d.]*", ":1e400"))))
  write(target, answer(fixture, (body:gsub('"%-?%d+%.?%d*"', '"' .. digits .. '"'))))
  for _, status in ipairs { 100, 204, 304, 500 } do write(target, answer(fixture, body, status)) end
end

for _, fixture in ipairs(fixtures) do
  local body = fixtures.load(fixture)
  write("parse_" .. fixture.provider, answer(fixture, body))
  if fixture.expect.balance then write_variants(fixture, body) end
  write("lenient_json", body)
  for text in body:gmatch '"([^"]*)"' do
    if text:find "^%d%d%d%d%-%d%d" then write("dates", text) end
    if text:find "^%-?%d+%.?%d*$" then write("decimals", text) end
  end
  for number in body:gmatch "[:%[]%s*(%-?%d[%d.]*)" do write("decimals", number) end
  if fixture.headers["retry-after"] then write("retry_after", fixture.headers["retry-after"]) end
end

-- What no fixture has: the three forms of an HTTP date, and times that a document allows.
for _, date in ipairs { "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
                        "Fri, 20 Nov 2026 23:59:59 GMT", "0", "120" } do
  write("retry_after", date)
end
for _, number in ipairs { "NaN", "-Infinity", "0x10", "007", "-0.5e+3", "1E400", '"NaN"', '"\\"0x10"', ("["):rep(65) } do
  write("lenient_json", '{"balance":' .. number .. "}")
end
for _, time in ipairs { "2026-03-30T02:48:46+09:00", "2000-02-29 12:00", "1969-12-31", "2026-03-29T17:48:46,5-0530" } do
  write("dates", time)
end
for _, number in ipairs { "-0.50", "007", "1e3", "9007199254740993", "0.1", "123456789012345.6", ("9"):rep(310),
                          "0." .. ("0"):rep(320) .. "1", ("0"):rep(512) } do
  write("decimals", number)
end
