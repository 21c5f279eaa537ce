-- The fault table (spec/faults.lua): every row over http and https, for every provider whose answer matters, and through parse.

local faults = require "spec.faults"
local faulty = require "spec.support.faulty"

describe("the fault table", function()
  local place, problems, checks, parsed

  setup(function()
    place = faulty.open()
    problems, checks, parsed = faulty.run(place.told, function(row) return not row.environment end)
    for _, row in ipairs(faults.rows) do
      if row.environment then
        problems[row.name] = faulty.run_apart(place.told, row.environment(place.told), row.name).problems[row.name]
      end
    end
  end)

  teardown(function() place:close() end)

  for _, row in ipairs(faults.rows) do
    it(row.name, function() assert.equal("", table.concat(problems[row.name] or {}, "\n")) end)
  end

  it("has its rows, each with a name of its own", function()
    local known = {}
    for _, row in ipairs(faults.rows) do
      assert.is_nil(known[row.name], row.name)
      known[row.name] = true
    end
    assert.is_true(#faults.rows >= 100)
    print(("%d rows: %d checks over the wire, %d answers through parse"):format(#faults.rows, checks, parsed))
  end)

  it("leads nobody elsewhere: that listener sees no connection", function()
    assert.equal(1, place.elsewhere:count().accepted) -- that of this question itself
    assert.same({}, place.elsewhere:log())
  end)

  it("lets no key out where the certificate is not acceptable", function() assert.same({}, place:seen()) end)
end)
