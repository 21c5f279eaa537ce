--- Holds an answer against what a fixture expects.

local fixtures = require "spec.fixtures"
local assert = require "luassert"

local expecting = {}

local function compare(expected, found, where)
  if expected == fixtures.absent then
    assert.is_nil(found, where)
  elseif type(expected) == "table" and type(found) == "table" then
    for name, value in pairs(expected) do compare(value, found[name], where .. "." .. tostring(name)) end
    if #expected > 0 then assert.equal(#expected, #found, where) end
  else
    assert.equal(expected, found, where)
  end
end

--- `balance, failure` as a check or parse returned them.
function expecting.answer(fixture, balance, failure)
  local where = fixture.provider .. "/" .. fixture.name
  local expect = fixture.expect
  if expect.balance then
    assert.is_nil(failure, where .. ": " .. tostring(failure))
    compare(expect.balance, balance, where)
    return
  end
  assert.is_nil(balance, where)
  local fields = {}
  for name, value in pairs(expect.failure) do fields[name] = value end
  local text = fields.message_contains
  fields.message_contains = nil
  compare(fields, failure, where)
  if text then assert.truthy(failure.message:find(text, 1, true), where .. ": " .. failure.message) end
end

return expecting
