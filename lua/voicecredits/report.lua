-- What the command prints: balances, failures and providers as a text table or as JSON. It returns text, and prints
-- nothing.

local report = {}

-- Text from strangers ------------------------------------------------------------------------------------------------

local LONGEST = 4096 -- characters; no name is that long

-- Valid UTF-8 without control characters, whatever came.
local function printable(text) return require "voicecredits.core".printable(tostring(text), LONGEST) end

local function width(text)
  local _, characters = text:gsub("[^\128-\191]", "")
  return characters
end

-- Colours ------------------------------------------------------------------------------------------------------------

local styles = { header = "1", good = "1;32", low = "33", unknown = "2", failure = "31" }

local function paint(text, style, coloured)
  if not coloured or not style or text == "" then return text end
  return ("\27[%sm%s\27[0m"):format(styles[style], text)
end

-- A table of text ----------------------------------------------------------------------------------------------------

-- A row is a list of cells { text, style, right }; one whose cell has `spans` set ends with it and may be of any width.

local function column_widths(rows)
  local widths = {}
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do
      if not cell.spans then widths[i] = math.max(widths[i] or 0, width(cell[1])) end
    end
  end
  return widths
end

local function draw_row(row, widths, coloured)
  local parts = {}
  for i, cell in ipairs(row) do
    local blanks = (" "):rep((widths[i] or 0) - width(cell[1]))
    local text = paint(cell[1], cell.style, coloured)
    if cell.right then
      text = blanks .. text
    elseif i < #row then
      text = text .. blanks
    end
    parts[i] = text
  end
  return (table.concat(parts, "  "):gsub(" +$", ""))
end

local function draw(rows, coloured)
  local widths, lines = column_widths(rows), {}
  for i, row in ipairs(rows) do lines[i] = draw_row(row, widths, coloured) .. "\n" end
  return table.concat(lines)
end

local function header(...)
  local row = {}
  for i, title in ipairs { ... } do row[i] = { title, style = "header" } end
  return row
end

-- Balances as a table ------------------------------------------------------------------------------------------------

--- An account as people read it: "fish", or "fish/studio" where the label is another than "default".
---@param row { provider: string, account: string }
---@return string
function report.account(row)
  if row.account == "default" then return row.provider end
  return printable(row.provider .. "/" .. row.account)
end

-- "-1234567.500" -> "-1,234,567.500"
local function group(number)
  local sign, digits, rest = number:match("^(%-?)(%d+)(.*)$")
  if not digits then return printable(number) end
  local grouped = digits:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", "")
  return sign .. grouped .. rest
end

--- The amount of a balance, with thousands separators.
---@param balance voicecredits.balance
---@return string
function report.amount(balance)
  return balance.exact and group(balance.exact) or "unknown"
end

local function date(seconds) return os.date("!%Y-%m-%d", math.floor(seconds)) end

local function bytes(number)
  local units, i = { "B", "KB", "MB", "GB", "TB", "PB" }, 1
  while number >= 1024 and i < #units do number, i = number / 1024, i + 1 end
  return ("%.4g %s"):format(number, units[i])
end

local function plan_text(plan)
  local name = printable(plan.name or plan.id or "plan")
  if not plan.status or plan.status:lower() == "active" then return name end
  return ("%s (%s)"):format(name, printable(plan.status))
end

local function topups_text(topups)
  local newest
  for _, topup in ipairs(topups) do
    if topup.created_at and topup.created_at > (newest or -math.huge) then newest = topup.created_at end
  end
  local text = #topups == 1 and "1 top-up" or ("%d top-ups"):format(#topups)
  if not newest then return text end
  return ("%s (%s%s)"):format(text, #topups == 1 and "" or "newest ", date(newest))
end

local function storage_text(storage)
  local used = storage.formatted_usage or storage.usage and bytes(storage.usage)
  local limit = storage.formatted_limit or storage.limit and bytes(storage.limit)
  if not used then return nil end
  return limit and ("storage %s of %s"):format(printable(used), printable(limit)) or "storage " .. printable(used)
end

-- What helps to judge the amount. Nothing personal: a table ends in screenshots and logs.
local function detail(balance)
  local parts = {}
  for _, plan in ipairs(balance.plans or {}) do parts[#parts + 1] = plan_text(plan) end
  if balance.resets_at then parts[#parts + 1] = "resets " .. date(balance.resets_at) end
  if balance.extra and balance.extra ~= 0 then
    parts[#parts + 1] = ("%s%s extra"):format(balance.extra > 0 and "+" or "", group(report.number(balance.extra)))
  end
  if balance.topups and #balance.topups > 0 then parts[#parts + 1] = topups_text(balance.topups) end
  if balance.storage then parts[#parts + 1] = storage_text(balance.storage) end
  return table.concat(parts, ", ")
end

local function balance_style(balance)
  if not balance.remaining then return "unknown" end
  return balance.remaining > 0 and "good" or "low"
end

--- A failure in one line, without the account's name.
---@param failure voicecredits.failure
---@return string
function report.failure(failure)
  local text = ("%s: %s"):format(failure.kind, failure.message)
  if failure.retry_after then text = ("%s (retry after %s s)"):format(text, report.number(failure.retry_after)) end
  return printable(text)
end

local function check_row(row)
  local account, balance = { report.account(row) }, row.balance
  if not balance then return { account, { report.failure(row.failure), style = "failure", spans = true } } end
  local amount = { report.amount(balance), style = balance_style(balance), right = true }
  return { account, amount, { printable(balance.unit) }, { detail(balance) } }
end

local function check_table(rows, coloured)
  local cells = { header("ACCOUNT", "BALANCE", "UNIT", "DETAIL") }
  cells[1][2].right = true
  for i, row in ipairs(rows) do cells[i + 1] = check_row(row) end
  return draw(cells, coloured)
end

-- Providers as a table -----------------------------------------------------------------------------------------------

local function providers_table(providers, coloured)
  local cells = { header("PROVIDER", "SERVICE", "UNIT", "KEY", "NOTE") }
  for _, provider in ipairs(providers) do
    local note = provider.discontinued and "discontinued " .. provider.discontinued or ""
    cells[#cells + 1] = {
      { provider.name }, { provider.title }, { provider.unit }, { provider.key_variable }, { note, style = "low" },
    }
  end
  return draw(cells, coloured)
end

-- JSON ---------------------------------------------------------------------------------------------------------------

--- A number as JSON and people write it: every digit that matters, whole numbers without a point or an exponent, and a
--- point in every locale. lua-cjson rounds to 14 digits and writes large whole numbers as 1e+15.
---@param number number
---@return string
function report.number(number)
  if number == math.floor(number) and math.abs(number) < 2 ^ 63 then return ("%.0f"):format(number) end
  for digits = 15, 17 do
    local text = ("%." .. digits .. "g"):format(number)
    if tonumber(text) == number then return (text:gsub("[^%deE+-]", ".")) end
  end
end

local function json_text(text)
  return (require "cjson".encode(printable(text)):gsub("\\/", "/"))
end

local function json_value(value)
  if type(value) == "number" then return report.number(value) end
  if type(value) == "boolean" then return tostring(value) end
  return json_text(value)
end

local function json_list(list, encode)
  local parts = {}
  for i, value in ipairs(list) do parts[i] = encode(value) end
  return "[" .. table.concat(parts, ",") .. "]"
end

-- Makes a function that writes the fields named, in this order, and no others. A field is a name, or { name, its
-- writer }; one that is absent is left out, or null where `nullable` says so.
local function json_object(fields, nullable)
  return function(object)
    local parts = {}
    for _, field in ipairs(fields) do
      local name, encode = field, json_value
      if type(field) == "table" then name, encode = field[1], field[2] end
      local value = object[name]
      if value ~= nil then
        parts[#parts + 1] = ("%s:%s"):format(json_text(name), encode(value))
      elseif nullable and nullable[name] then
        parts[#parts + 1] = ("%s:null"):format(json_text(name))
      end
    end
    return "{" .. table.concat(parts, ",") .. "}"
  end
end

local function json_objects(fields)
  local encode = json_object(fields)
  return function(list) return json_list(list, encode) end
end

-- The fields that the design names, without `raw` and `user`: what is printed ends in logs, and those two hold whatever
-- the provider sent, names and e-mail addresses among it. An unknown balance is null, so that nobody takes it for 0.
local json_balance = json_object({
  "provider", "account", "remaining", "exact", "unit", "limit", "resets_at", "extra", "updated_at",
  { "plans", json_objects { "id", "name", "status", "remaining", "limit", "resets_at" } },
  { "topups", json_objects { "topup_id", "amount", "status", "created_at" } },
  { "storage", json_object { "usage", "limit", "formatted_usage", "formatted_limit" } },
  "fetched_at", "elapsed", "attempts",
}, { remaining = true, exact = true })

local json_failure = json_object {
  "kind", "message", "provider", "account", "status", "code", "retryable", "retry_after", "request_id", "attempts",
  "elapsed",
}

-- `failed_at` is for those who keep the last good balance beside a failure.
local json_row = json_object {
  "provider", "account", { "balance", json_balance }, { "failure", json_failure }, "failed_at",
}

local json_provider = json_object {
  "name", "title", "base_url", "path", "auth_header", "unit", "key_variable", "base_variable", "documentation",
  "discontinued",
}

local function lines(list, encode)
  local parts = {}
  for i, value in ipairs(list) do parts[i] = "\n" .. encode(value) end
  return "[" .. table.concat(parts, ",") .. "\n]"
end

-- What the program asks for ------------------------------------------------------------------------------------------

--- The answers of a check.
---@param rows voicecredits.row[]
---@param options { format: "table"|"json", coloured?: boolean, checked_at: number }
---@return string
function report.check(rows, options)
  if options.format == "table" then return check_table(rows, options.coloured) end
  return ('{"schema":"voicecredits.check.v1","checked_at":%s,"accounts":%s}\n')
    :format(report.number(options.checked_at), lines(rows, json_row))
end

--- The providers that there are.
---@param providers table[] as voicecredits.providers() returns them
---@param options { format: "table"|"json", coloured?: boolean }
---@return string
function report.providers(providers, options)
  if options.format == "table" then return providers_table(providers, options.coloured) end
  return ('{"schema":"voicecredits.providers.v1","providers":%s}\n'):format(lines(providers, json_provider))
end

return report
