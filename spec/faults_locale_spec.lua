-- The fault table once more in processes of another culture: a decimal comma, and a clock west or east of UTC.

local faulty = require "spec.support.faulty"

describe("the fault table with a decimal comma,", function()
  local place

  setup(function()
    place = faulty.open()
    os.execute(("mkdir %s/locales && localedef -i de_DE -f UTF-8 %s/locales/de_DE.UTF-8"):format(place.told.home, place.told.home))
  end)

  teardown(function() place:close() end)

  -- POSIX's own form of TZ, which needs no file: the offset is what to add to get UTC.
  for _, case in ipairs { { "west", "<-08>8", "-0800" }, { "east", "<+0530>-5:30", "+0530" } } do
    local side, zone, offset = case[1], case[2], case[3]
    it(side .. " of UTC", function()
      local told = faulty.run_apart(place.told, { TZ = zone, LOCPATH = place.told.home .. "/locales" }, nil, "de_DE.UTF-8")
      assert.equal(offset, told.zone)
      assert.equal("1,5", told.number)
      assert.is_true(tonumber(told.checks) > 10000 and tonumber(told.parsed) > 10000)
      local problems = {}
      for name, list in pairs(told.problems) do problems[#problems + 1] = name .. ": " .. table.concat(list, "; ") end
      assert.same({}, problems)
    end)
  end
end)
