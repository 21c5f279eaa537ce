--- Looks for an API key in whatever came out of somewhere, in each form that it may have taken on the way.

local files = require "spec.support.files"

local leaks = {}

local LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
local PART = 8 -- characters of a key that are no accident

--- A key that no other run has. It is longer than the room for some headers, and is no word.
---@param prefix? string
---@return string
function leaks.new_key(prefix)
  local source = assert(io.open("/dev/urandom", "rb"))
  local letters = {}
  for i, byte in ipairs { source:read(48):byte(1, -1) } do
    local at = byte % #LETTERS + 1
    letters[i] = LETTERS:sub(at, at)
  end
  source:close()
  return (prefix or "vk-") .. table.concat(letters)
end

local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(text)
  local out = {}
  for first = 1, #text - 2, 3 do
    local a, b, c = text:byte(first, first + 2)
    local bits = a * 65536 + b * 256 + c
    for shift = 3, 0, -1 do
      local at = math.floor(bits / 64 ^ shift) % 64 + 1
      out[#out + 1] = alphabet:sub(at, at)
    end
  end
  return table.concat(out)
end

local function hex(text) return (text:gsub(".", function(letter) return ("%02x"):format(letter:byte()) end)) end

-- Texts that stand for the key where they are found. Base64 has three forms, by what stands before the key.
local function forms_of(key)
  local forms, lower = {}, key:lower()
  for first = 1, #key - PART + 1 do forms[#forms + 1] = { lower:sub(first, first + PART - 1), "a part of it" } end
  for skip = 1, 3 do forms[#forms + 1] = { base64(key:sub(skip)):sub(1, 20), "in base64", exact = true } end
  forms[#forms + 1] = { hex(key):sub(1, 32), "in hexadecimal digits" }
  forms[#forms + 1] = { lower:reverse(), "backwards" }
  return forms
end

local forms = setmetatable({}, { __index = function(all, key)
  all[key] = forms_of(key)
  return all[key]
end })

--- How the key stands in a text; nil where it does not.
---@param key string
---@param text string
---@return string?
function leaks.find(key, text)
  local lower = text:lower()
  if lower:find(key:lower(), 1, true) then return "the whole key" end
  for _, form in ipairs(forms[key]) do
    if (form.exact and text or lower):find(form[1], 1, true) then return form[2] end
  end
end

-- Every text in a value, names of fields included; `raw` is the provider's own answer and nobody's promise.
local function collect(value, into)
  into[#into + 1] = tostring(value)
  if type(value) ~= "table" then return end
  for name, field in pairs(value) do
    into[#into + 1] = tostring(name)
    if name ~= "raw" then collect(field, into) end
  end
end

--- Raises where the key stands in one of the values: texts, or tables as deep as they go.
---@param key string
---@param what string what was looked at
---@param ... any
function leaks.check(key, what, ...)
  local texts = {}
  for i = 1, select("#", ...) do collect((select(i, ...)), texts) end
  local text = table.concat(texts, "\n")
  local found = leaks.find(key, text)
  if found then error(("%s: %s stands in:\n%s"):format(what, found, text:sub(1, 4000)), 2) end
end

--- Raises where the key stands in a file below a folder, or in a file's name.
---@param key string
---@param folder string
---@param except? table<string, boolean> names of files that have it by the test's own doing
function leaks.check_folder(key, folder, except)
  for _, path in ipairs(files.lines_of("find " .. files.quote(folder) .. " -type f")) do
    if not (except and except[path:match "[^/]+$"]) then leaks.check(key, path, path, files.peek(path)) end
  end
end

--- Each process of the machine: array of { id, arguments, environment }.
function leaks.processes()
  local list = {}
  for _, id in ipairs(files.lines_of "ls /proc | grep '^[0-9]'") do
    list[#list + 1] = { id = tonumber(id), arguments = files.peek("/proc/" .. id .. "/cmdline"),
      environment = files.peek("/proc/" .. id .. "/environ") }
  end
  return list
end

--- The children of a process.
---@param id integer
---@return integer[]
function leaks.children(id)
  local list = {}
  for _, line in ipairs(files.lines_of(("cat /proc/%d/task/*/children 2>/dev/null"):format(id))) do
    for child in line:gmatch "%d+" do list[#list + 1] = tonumber(child) end
  end
  return list
end

return leaks
