--- Runs the fault table in a process with variables and a locale of its own: `faulty_process.lua TOLD NAME LOCALE`. See faulty.lua.
--
-- Prints one JSON object: what was wrong, how much was asked, and how this process shows the time zone and the number 1.5.

local cjson = require "cjson"
local faulty = require "spec.support.faulty"
local files = require "spec.support.files"
local voicecredits = require "voicecredits"

local path, name, locale = arg[1], arg[2], arg[3]
local told = cjson.decode(files.read(path)) -- before the locale is set: this instance would take a comma for a decimal one
assert(voicecredits.null) -- the module has its own instance from here on, and meets another locale
if locale ~= "" then assert(os.setlocale(locale), "no locale " .. locale) end

local function wanted(row)
  if name ~= "" then return row.name == name end
  return not row.environment
end

local problems, checks, parsed = faulty.run(told, wanted)
local answer = { problems = problems, checks = ("%d"):format(checks), parsed = ("%d"):format(parsed), zone = os.date("%z"),
  number = ("%.1f"):format(1.5) }
io.write(cjson.encode(answer))
