--- The bytes of answers, for the fault table (spec/faults.lua). Pure functions.

local answers = {}

--- Lines, each ended.
function answers.join(...) return table.concat({ ... }, "\r\n") .. "\r\n" end

--- An HTTP/1.1 answer: Content-Length is added unless a header tells the body's length.
---@param status integer
---@param body string
---@param headers? string[] whole lines
---@return string
function answers.http(status, body, headers)
  local lines = { ("HTTP/1.1 %d Test"):format(status) }
  local told = false
  for _, line in ipairs(headers or {}) do
    told = told or line:find("^Content%-Length:") or line:find("^Transfer%-Encoding:")
    lines[#lines + 1] = line
  end
  if not told then lines[#lines + 1] = "Content-Length: " .. #body end
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. body
end

--- The documented sample, as it should come.
function answers.ok(about) return answers.http(200, about.sample) end

--- A body in chunks of `size` bytes, each with its extension, without the last one of no bytes.
function answers.chunked(body, size, extension)
  local parts = {}
  for start = 1, #body, size do
    local part = body:sub(start, start + size - 1)
    parts[#parts + 1] = ("%x%s\r\n"):format(#part, extension or "") .. part .. "\r\n" -- a part may hold NULs
  end
  return table.concat(parts)
end

--- A JSON object with fields more at its start.
function answers.with(object, fields) return "{" .. fields .. "," .. object:sub(2) end

local frames = {
  supertone = '{"balance":%s}',
  suno = '{"code":200,"msg":"success","data":%s}',
  srtgen = '{"success":true,"credits":{"totalBalance":%s}}',
  breeze = '{"balance":%s}',
}
local fields = { supertone = "balance", suno = "data", srtgen = "totalBalance", breeze = "balance" }

--- The smallest body of a provider with that JSON in the place of its amount.
function answers.amount(provider, json) return (frames[provider]:gsub("%%s", function() return json end)) end

--- The same with the amount twice.
function answers.twice(provider, first, second)
  return answers.amount(provider, ('%s,"%s":%s'):format(first, fields[provider], second))
end

local messages = {
  supertone = '{"status":"error","message":{"statusCode":401,"message":"%s"}}',
  suno = '{"code":401,"msg":"%s"}',
  fish = '{"status":401,"message":"%s"}',
  srtgen = '{"success":false,"error":"unauthorized","message":"%s"}',
  breeze = '{"ok":false,"code":"AUTH_REQUIRED","detail":"%s"}',
}

--- A provider's refusal in words of JSON text.
function answers.message(provider, json_text) return (messages[provider]:gsub("%%s", function() return json_text end)) end

--- The variables of a process whose OpenSSL would take what it takes by default no more.
function answers.permissive_openssl(run) return { OPENSSL_CONF = run.home .. "/openssl.cnf" } end

return answers
