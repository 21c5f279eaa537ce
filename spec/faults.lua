--- The fault table: what can be wrong with an answer, and what must be made of it. Data only; spec/faults_spec.lua runs it.
--
-- A row has a `name` and
--   answer       the bytes that the server sends, or a function of `about` that returns them, or several answers to try:
--                about = { provider, sample = its documented body, elsewhere = the base URL of a server that nobody may ask,
--                          documents = function(status): all documented JSON bodies, gzip = function(text),
--                          date = function(seconds from now, format) }
--   server       how it sends them: options of spec/support/raw_server.lua
--   fixed        instead of both: a behaviour that the raw server has anyway
--   address      instead of them all: a base URL where no server of ours is
--   providers    whose checks get this answer (default: all five); over: "http", "https" (default: both)
--   certificate  what the https server shows (default: "good"); trust: how the client knows the authority (default: "ca_file")
--   environment  a function of the run (`home`, `ca_file`, `ca_path`) that returns variables: then a process of its own asks
--   check        options of the check (default: { timeout = 10, retries = 0 })
--   expect       fields of the failure, or { balance = true } for the sample's amount, or { remaining = number, exact = text };
--                says = words of its message, false = must be nil, retry_after = { from, to } a range
--   longest      the longest time it may take, as a share of the check's timeout (default: 0.5, "at once")
--   unseen       true where no request may reach the server: the key stays here
--   wire_only    true where the answer says nothing to voicecredits.parse, which gets all that are whole

local support = require "spec.support.answers"

local rows = {}
local ALL = { "supertone", "suno", "fish", "srtgen", "breeze" }
local NUMBERS = { "supertone", "suno", "srtgen", "breeze" } -- Fish's amount is text
local BALANCE = { balance = true }
local http, ok, join = support.http, support.ok, support.join

local function row(name, answer, expect, more)
  local made = { name = name, answer = answer, expect = expect }
  for field, value in pairs(more or {}) do made[field] = value end
  rows[#rows + 1] = made
end

-- Shorthands for what is expected. A failure is not worth another try unless it says so.
local function fails(kind, fields)
  local expect = { kind = kind, retryable = false }
  for name, value in pairs(fields or {}) do expect[name] = value end
  return expect
end

local function protocol(says) return fails("protocol", { says = says }) end

local SHORT = { timeout = 0.3, retries = 0 }
local LATE = { check = SHORT, longest = 1 } -- for what the timeout alone ends
local function late(server) return { check = SHORT, longest = 1, server = server } end
local CLOSE = { server = { close = 1 } }

-- The connection -----------------------------------------------------------------------------------------------------

row("name not found", nil, fails("network", { status = false, retryable = true, says = "resolve host" }),
  -- a name that no name server needs to be asked for: its first label is longer than 63 letters
  { address = "https://" .. ("a"):rep(64) .. ".invalid", over = { "https" } })
row("refused", nil, fails("network", { status = false, retryable = true }), { address = "127.0.0.1:1" })
row("accepted and never answered", nil, fails("timeout", { status = false, attempts = 1, says = "0.3 s" }),
  { fixed = "hang", check = SHORT, longest = 1 })
row("accepted and never answered, over TLS no handshake either", "", fails("timeout", { status = false }),
  { over = { "https" }, server = { blunt = 1 }, check = SHORT, longest = 1 })
row("no connection within connect_timeout", "", fails("network", { status = false, retryable = true }),
  { over = { "https" }, server = { blunt = 1 }, check = { timeout = 3, connect_timeout = 0.3, retries = 0 }, longest = 0.1 })
row("closed before the headers", nil, fails("network", { status = false, retryable = true }), { fixed = "close-early" })
row("closed before the headers, tried again", nil, fails("network", { status = false, retryable = true, attempts = 2 }),
  { fixed = "close-early", check = { timeout = 10, retries = 1 } })
row("closed in the status line", "HTTP/1.1 2", fails("network", { retryable = true }), CLOSE)
row("closed in the headers", "HTTP/1.1 200 OK\r\nContent-Le", fails("network", { says = "in the headers" }), CLOSE)
row("closed between the headers and their end", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n", fails("network"), CLOSE)
row("closed after the headers", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", fails("network", { status = 200 }), CLOSE)
row("closed after the headers, no length told", "HTTP/1.1 200 OK\r\n\r\n", protocol "an empty body", CLOSE)
row("closed in the body", function(about) return http(200, about.sample:sub(1, -5), { "Content-Length: " .. #about.sample }) end,
  fails("network", { status = 200 }), CLOSE)
row("a body that ends early, no length told", function(about) return join("HTTP/1.1 200 OK", "") .. about.sample:sub(1, -5) end,
  protocol "not JSON", CLOSE)
row("reset before the headers", "", fails("network", { status = false, retryable = true }), { server = { reset = 1 } })
row("reset in the headers", "HTTP/1.1 200 OK\r\nContent-Le", fails "network", { server = { reset = 1 } })
row("reset in the body", function(about) return http(200, about.sample:sub(1, -5), { "Content-Length: " .. #about.sample }) end,
  fails("network", { status = 200 }), { server = { reset = 1 } })

-- Slow ---------------------------------------------------------------------------------------------------------------

row("an answer later than the timeout", ok, fails("timeout", { status = false }), late { delay = 1 })
row("one byte at a time", ok, fails "timeout", late { drip = 20 })
row("slowly in the headers", function(about) return http(200, about.sample, { "X-Filler: " .. ("y"):rep(1000) }) end,
  fails "timeout", late { drip = 400 })
row("slowly in the body", function(about) return http(200, about.sample .. (" "):rep(5000)) end,
  fails("timeout", { status = 200 }), late { drip = 2000 })
row("a body that stops half way", function(about) return http(200, about.sample:sub(1, -5), { "Content-Length: " .. #about.sample }) end,
  fails("timeout", { status = 200 }), LATE)
row("slow, but in time", ok, BALANCE, { server = { drip = 2000, delay = 0.05 } })

-- Headers ------------------------------------------------------------------------------------------------------------

local FILLER = "X-Filler: " .. ("y"):rep(1000)
local function filled(count) return FILLER .. ("\r\n" .. FILLER):rep(count - 1) end

row("60 KiB of headers", function(about) return http(200, about.sample, { filled(60) }) end, BALANCE)
row("70 KiB of headers", function(about) return http(200, about.sample, { filled(70) }) end, protocol "64 KiB of headers")
row("headers without end", "HTTP/1.1 200 OK\r\n" .. filled(70) .. "\r\n", protocol "64 KiB of headers")
row("a header line without end", "HTTP/1.1 200 OK\r\nX-Filler: " .. ("y"):rep(200000), protocol "64 KiB of headers")
row("a status line without end", "HTTP/1.1 200 " .. ("y"):rep(200000), protocol "64 KiB of headers")
row("headers that come one by one for ever", "HTTP/1.1 200 OK\r\n" .. ("X-A: b\r\n"):rep(1000), fails "timeout", late { drip = 500 })
row("a NUL in a header", function(about) return http(200, about.sample, { "X-A: b\0c" }) end, protocol())
row("a header without a colon", function(about) return http(200, about.sample, { "nonsense" }) end, protocol())
row("a header in two lines, as once was allowed", function(about) return http(200, about.sample, { "X-A: b", " c" }) end, BALANCE)
row("lines that end without CR", function(about) return (http(200, about.sample):gsub("\r", "")) end, BALANCE)
row("HTTP/1.0", function(about) return join("HTTP/1.0 200 OK", "") .. about.sample end, BALANCE, CLOSE)
row("no reason phrase", function(about) return (http(200, about.sample):gsub(" Test", "")) end, BALANCE)
row("another place in headers that do not redirect", function(about)
  local url = about.elsewhere .. "/"
  return http(200, about.sample, { "Location: " .. url, "Refresh: 0; url=" .. url, "Alt-Svc: h2=\"" .. url:match "//(.-)/" .. "\"",
    "Link: <" .. url .. ">; rel=preload", "Content-Location: " .. url })
end, BALANCE)
row("two answers where one was asked for", function(about) return ok(about) .. http(402, "{}") end, BALANCE)

-- Status lines -------------------------------------------------------------------------------------------------------

row("HTTP/0.9", function(about) return about.sample end, protocol(), CLOSE)
row("nothing but empty lines", "\r\n\r\n\r\n", protocol(), CLOSE)
row("another protocol", "SSH-2.0-OpenSSH_9.2\r\n", protocol(), CLOSE)
for _, line in ipairs { "HTTP/1.1 OK 200", "HTTP/1.1 20", "HTTP/1.1 2000 OK", "HTTP/1.1 -20 OK", "HTTP/1.1 000 OK", "HTTP/1.1 099 OK",
                        "HTTP/1.1", "HTTP/1.1\t200 OK", "HTTP 200 OK", "HTTP/9.9 200 OK", "ICY 200 OK", "200 OK", " HTTP/1.1 200 OK" } do
  row("the status line '" .. line:gsub("\t", "\\t") .. "'", function(about)
    return line .. "\r\nContent-Length: " .. #about.sample .. "\r\n\r\n" .. about.sample
  end, protocol(), CLOSE)
end

-- Interim answers ----------------------------------------------------------------------------------------------------

row("a hundred 1xx answers", function(about)
  return ("HTTP/1.1 100 Continue\r\n\r\n"):rep(50) .. ("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"):rep(50) .. ok(about)
end, BALANCE)
row("1xx answers without end", ("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"):rep(2000), protocol "64 KiB of headers")
row("a 1xx answer and nothing more", "HTTP/1.1 103 Early Hints\r\n\r\n", fails "timeout", LATE)
row("closed after a 1xx answer", "HTTP/1.1 103 Early Hints\r\n\r\n", fails("network", { retryable = true }), CLOSE)
row("headers of a 1xx answer are not the answer's", function(about)
  return "HTTP/1.1 103 Early Hints\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\nRetry-After: 9\r\n\r\n" .. ok(about)
end, BALANCE)
row("101, which nobody asked for", function(about)
  return "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" .. ok(about)
end, fails("protocol", { status = 101, says = "not asked for" }))

-- Lengths ------------------------------------------------------------------------------------------------------------

local function lengths(list)
  return function(about)
    local lines = { "HTTP/1.1 200 OK" }
    for i, length in ipairs(list) do lines[i + 1] = "Content-Length: " .. length:gsub("N", #about.sample) end
    return table.concat(lines, "\r\n") .. "\r\n\r\n" .. about.sample
  end
end

row("Content-Length smaller than the body", lengths { "5" }, protocol "not JSON")
row("Content-Length larger than the body, then closed", lengths { "1N" }, fails("network", { status = 200 }), CLOSE)
row("Content-Length larger than the body, then silence", lengths { "1N" }, fails("timeout", { status = 200 }), LATE)
row("Content-Length twice, the same", lengths { "N", "N" }, BALANCE)
row("Content-Length twice, first smaller", lengths { "5", "N" }, protocol "Content-Length")
row("Content-Length twice, then smaller", lengths { "N", "5" }, protocol "Content-Length")
row("Content-Length of two in one line", lengths { "N, 5" }, protocol "Content-Length")
row("Content-Length 0", lengths { "0" }, protocol "an empty body")
for _, length in ipairs { "-5", "+5", "five", "Nx", "0x10", "1e1", "5.0", "", "99999999999999999999999999" } do
  row("Content-Length '" .. length .. "'", lengths { length }, protocol(), CLOSE)
end

-- Chunks -------------------------------------------------------------------------------------------------------------

-- The sample in chunks of 10 bytes, with what stands in the place of the last chunk's line and its end.
local function chunks(ending, headers)
  return function(about)
    return http(200, support.chunked(about.sample, 10) .. ending, { "Transfer-Encoding: chunked", headers })
  end
end

row("chunks", chunks "0\r\n\r\n", BALANCE)
row("chunks with extensions", function(about)
  return http(200, support.chunked(about.sample, 10, ';name="value"') .. "0;a\r\n\r\n", { "Transfer-Encoding: chunked" })
end, BALANCE)
row("chunks beside a Content-Length, which does not count", chunks("0\r\n\r\n", "Content-Length: 5"), BALANCE)
row("a chunk with a length that is no number", chunks "zz\r\n", protocol(), CLOSE)
row("a chunk with a negative length", chunks "-5\r\nabcde\r\n0\r\n\r\n", protocol(), CLOSE)
row("a chunk with a length of 30 digits", chunks(("f"):rep(30) .. "\r\n"), protocol(), CLOSE)
row("a chunk longer than its length", chunks "2\r\n      \r\n0\r\n\r\n", protocol(), CLOSE)
row("a chunk shorter than its length, then closed", chunks "7fffffff\r\n   ", fails("network", { status = 200 }), CLOSE)
row("closed before the last chunk", chunks "", fails("network", { status = 200 }), CLOSE)
row("closed before the end of the last chunk", chunks "0\r\n", fails("network", { status = 200 }), CLOSE)
row("no last chunk, then silence", chunks "", fails("timeout", { status = 200 }), LATE)
row("trailers", chunks("0\r\nX-A: b\r\nX-C: d\r\n\r\n", "Trailer: X-A, X-C"), BALANCE)
row("trailers that look like headers", chunks "0\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\nRetry-After: 9\r\n\r\n", BALANCE)
row("70 KiB of trailers", chunks("0\r\n" .. filled(70) .. "\r\n\r\n"), protocol "64 KiB of headers")
row("a trailer line without end", chunks("0\r\nX-A: " .. ("y"):rep(200000)), protocol())
row("a trailer without a colon", chunks "0\r\nnonsense\r\n\r\n", protocol())
row("a trailer that is a status line", chunks "0\r\nHTTP/1.1 402 No\r\n\r\n", protocol())

-- Sizes --------------------------------------------------------------------------------------------------------------

local MIB = 1024 * 1024
local function padded(size) return function(about) return http(200, about.sample .. (" "):rep(size - #about.sample)) end end

row("1 MiB", padded(MIB), BALANCE)
row("1 MiB and 1 byte", padded(MIB + 1), protocol "1024 KiB")
row("1 MiB and 1 byte, announced and never sent", join("HTTP/1.1 200 OK", "Content-Length: " .. MIB + 1, ""), protocol "1024 KiB")
row("1 MiB and 1 byte in chunks", function(about)
  local body = about.sample .. (" "):rep(MIB + 1 - #about.sample)
  return http(200, support.chunked(body, 65536) .. "0\r\n\r\n", { "Transfer-Encoding: chunked" })
end, protocol "1024 KiB")
row("1 MiB and more, no length told, left open", "HTTP/1.1 200 OK\r\n\r\n" .. (" "):rep(1000), protocol "1024 KiB",
  { server = { ["repeat"] = 2000 } })
row("200 MB, no length told", "HTTP/1.1 200 OK\r\n\r\n" .. (" "):rep(1000), protocol "1024 KiB",
  { server = { ["repeat"] = 200000, close = 1 }, providers = { "supertone" } })
row("1 MiB and 1 byte of an error", http(401, (" "):rep(MIB + 1)), protocol "1024 KiB", { wire_only = true })

-- Compressed ---------------------------------------------------------------------------------------------------------

row("gzip", function(about) return http(200, about.gzip(about.sample), { "Content-Encoding: gzip" }) end, protocol "gzip")
row("a gzip bomb", function(about) return http(200, about.gzip((" "):rep(16 * MIB)), { "Content-Encoding: gzip" }) end, protocol "gzip")
row("a gzip bomb that does not say so", function(about) return http(200, about.gzip((" "):rep(16 * MIB))) end, protocol "not JSON")
row("gzip as a transfer coding", function(about)
  return http(200, about.gzip(about.sample), { "Transfer-Encoding: gzip" })
end, protocol "gzip", CLOSE)
row("a gzip bomb as a transfer coding", function(about)
  return http(200, about.gzip((" "):rep(16 * MIB)), { "Transfer-Encoding: gzip" })
end, protocol "1024 KiB", CLOSE)
for _, coding in ipairs { "gzip", "deflate", "br", "zstd", "identity, gzip", "nonsense" } do
  row("said to be in " .. coding .. ", though plain", function(about)
    return http(200, about.sample, { "Content-Encoding: " .. coding })
  end, protocol(coding))
end
row("the coding identity", function(about) return http(200, about.sample, { "Content-Encoding: identity" }) end, BALANCE)
row("a refusal in gzip", function(about) return http(401, about.gzip "{}", { "Content-Encoding: gzip" }) end,
  fails("authentication", { status = 401 }))

-- Statuses -----------------------------------------------------------------------------------------------------------

-- The kind that DESIGN gives a status of which the provider's own code says nothing.
local function kind_of(status)
  local kinds = { [401] = "authentication", [402] = "exhausted", [403] = "permission", [404] = "not_found", [410] = "not_found",
                  [408] = "unavailable", [425] = "unavailable", [429] = "rate_limited" }
  return kinds[status] or (status >= 500 and "unavailable" or "invalid_request")
end

local function refusal(status, fields)
  local kind = kind_of(status)
  local expect = fails(kind, { status = status, retryable = kind == "unavailable" or kind == "rate_limited", attempts = 1 })
  for name, value in pairs(fields or {}) do expect[name] = value end
  return expect
end

for status = 400, 599 do
  row("status " .. status, { http(status, "{}"), http(status, ""), http(status, "<html>") }, refusal(status))
end
row("407, though there is no proxy", http(407, "{}", { 'Proxy-Authenticate: Basic realm="x"' }), refusal(407))
row("401 that offers to log in", http(401, "{}", { 'WWW-Authenticate: Basic realm="x"', "WWW-Authenticate: Negotiate" }), refusal(401))
row("408 before the connection is closed", http(408, ""), refusal(408), CLOSE)
for _, status in ipairs { 201, 202, 203, 206, 226, 299 } do
  row("status " .. status .. " with a balance", function(about) return http(status, about.sample) end,
    fails("protocol", { status = status, says = "HTTP " .. status }))
end
row("204", join("HTTP/1.1 204 No Content", ""), fails("protocol", { status = 204 }))
row("204 with a length, and no body", join("HTTP/1.1 204 No Content", "Content-Length: 100", ""), fails("protocol", { status = 204 }))
row("205", http(205, ""), fails("protocol", { status = 205 }))
row("304", join("HTTP/1.1 304 Not Modified", 'ETag: "a"', "Content-Length: 100", ""), fails("protocol", { status = 304 }))
for _, status in ipairs { 600, 700, 999 } do
  row("status " .. status, function(about) return http(status, about.sample) end, fails("protocol", { status = status }))
end

-- Redirects ----------------------------------------------------------------------------------------------------------

for _, status in ipairs { 300, 301, 302, 303, 305, 306, 307, 308, 399 } do
  row(status .. " with a Location elsewhere", function(about)
    return http(status, about.sample, { "Location: " .. about.elsewhere .. "/v1/credits" })
  end, fails("protocol", { status = status, says = "redirect" }))
end
row("a Location on the same host", http(302, "{}", { "Location: /landed" }), protocol "redirect")
row("a Location without a scheme", function(about)
  return http(302, "{}", { "Location: //" .. about.elsewhere:match "//(.*)" .. "/" })
end, protocol "redirect")
row("a Location that is a file", http(302, "{}", { "Location: file:///etc/passwd" }), protocol "redirect")
row("a redirect without a Location", http(302, "{}"), protocol "redirect")
row("a redirect to itself", http(302, "{}", { "Location: " }), protocol "redirect")

-- Retry-After --------------------------------------------------------------------------------------------------------

-- With one more try allowed: what does not fit into the timeout is told at once, after one attempt.
local AGAIN = { check = { timeout = 10, retries = 1 } }
local function later(value, retry_after, status)
  status = status or 429
  local function answer(about) return http(status, "{}", { "Retry-After: " .. (type(value) == "function" and value(about) or value) }) end
  return answer, refusal(status, { retry_after = retry_after })
end
local function retry_after(name, value, expected, attempts, status)
  local answer, expect = later(value, expected, status)
  expect.attempts = attempts or 1
  row("Retry-After: " .. name, answer, expect, AGAIN)
end

retry_after("seconds", "30", 30)
retry_after("seconds, with 503", "30", 30, 1, 503)
retry_after("seconds, with 425", "30", 30, 1, 425)
retry_after("0 seconds, tried again at once", "0", 0, 2)
retry_after("an HTTP date", function(about) return about.date(3600) end, { 3000, 3600 })
retry_after("a date of RFC 850", function(about) return about.date(3600, "!%A, %d-%b-%y %H:%M:%S GMT") end, { 3000, 3600 })
retry_after("a date of asctime", function(about) return about.date(3600, "!%a %b %d %H:%M:%S %Y") end, { 3000, 3600 })
retry_after("a date in another zone", function(about) return about.date(3600 + 7200, "!%a, %d %b %Y %H:%M:%S +0200") end, { 3000, 3600 })
retry_after("a past date, tried again at once", "Wed, 21 Oct 2015 07:28:00 GMT", 0, 2)
retry_after("in a hundred years", "Fri, 31 Dec 2123 23:59:59 GMT", { 1e9, 1e10 })
retry_after("a huge number", "99999999999999999999", 1e20)
retry_after("a number of 60 digits", ("9"):rep(60), { 9.9e59, 1.1e60 })
retry_after("spaces around it", "  30  ", 30)
row("Retry-After: twice, the first counts", http(429, "{}", { "Retry-After: 30", "Retry-After: 60" }), refusal(429, { retry_after = 30 }), AGAIN)
for _, nonsense in ipairs { "-5", "soon", "1.5", "1e3", "0x10", "", "30 seconds", "Tuesday", "Wed, 99 Foo 2015 99:99:99 GMT", "30, 60",
                         "21 Oct 2035 07:28:00 GMT" } do
  local answer, expect = later(nonsense, false)
  expect.attempts = 2 -- as if nothing had been asked for
  row("Retry-After: '" .. nonsense .. "'", answer, expect, AGAIN)
end

-- Bodies that are not JSON -------------------------------------------------------------------------------------------

local function truncated(bodies, status)
  local answers = {}
  for _, body in ipairs(bodies) do
    for length = 0, #body - 1 do answers[#answers + 1] = http(status, body:sub(1, length)) end
  end
  return answers
end

row("every documented answer with status 200, truncated at every byte", function(about)
  return truncated(about.documents(200), 200)
end, protocol())
for _, status in ipairs { 400, 401, 402, 403, 404, 405, 408, 409, 413, 415, 422, 425, 429, 430, 455, 500, 502, 503 } do
  row(("every documented answer with status %d, truncated at every byte"):format(status), function(about)
    return truncated(about.documents(status), status)
  end, refusal(status, { code = false }), { over = { "http" } })
end

local function not_json(name, change)
  row("not JSON: " .. name, function(about) return http(200, change(about.sample)) end, protocol "not JSON")
end

not_json("two documents", function(sample) return sample .. sample end)
not_json("words behind it", function(sample) return sample .. " trailing" end)
not_json("a byte order mark before it", function(sample) return "\239\187\191" .. sample end)
not_json("in UTF-16", function(sample) return (sample:gsub(".", "%0\0")) end)
not_json("a NUL before it", function(sample) return "\0" .. sample end)
not_json("a NUL behind it", function(sample) return sample .. "\0" end)
not_json("another document behind a NUL", function(sample) return sample .. "\0" .. sample end)
not_json("a NUL in a string", function(sample) return support.with(sample, '"x":"a\0b"') end)
not_json("a comment", function(sample) return sample .. " // balance" end)
not_json("single quotes", function(sample) return (sample:gsub('"', "'")) end)
not_json("a comma too many", function(sample) return (sample:gsub("}$", ",}")) end)
not_json("invalid UTF-8 outside of strings", function(sample) return support.with(sample, '"x":\255') end)
not_json("10,000 levels of arrays", function(sample)
  return support.with(sample, '"x":' .. ("["):rep(10000) .. ("]"):rep(10000))
end)
not_json("10,000 levels of objects", function(sample)
  return support.with(sample, '"x":' .. ('{"a":'):rep(10000) .. "1" .. ("}"):rep(10000))
end)
not_json("10,000 levels that are never closed", function() return ('{"a":['):rep(5000) end)
not_json("65 levels", function(sample) return support.with(sample, '"x":' .. ("["):rep(64) .. ("]"):rep(64)) end)
row("an HTML page", http(200, "<!doctype html><p>Hello", { "Content-Type: text/html" }), protocol "an HTML page")
row("white space alone", http(200, " \r\n\t "), protocol "not JSON")
for _, case in ipairs { { "null", "null" }, { "true", "true" }, { "a number", "12" }, { "a string", '"12"' } } do
  row("JSON that is " .. case[1], http(200, case[2]), protocol "JSON that is no object")
end
row("JSON that is an array", function(about) return http(200, "[" .. about.sample .. "]") end, protocol "a JSON array")
row("JSON that is an empty object", http(200, "{}"), protocol())
row("a deep refusal", http(401, '{"message":' .. ("["):rep(10000) .. ("]"):rep(10000) .. "}"), refusal(401))

-- JSON that is odd, and yet JSON -------------------------------------------------------------------------------------

local function odd(name, change)
  row("JSON: " .. name, function(about) return http(200, change(about.sample)) end, BALANCE)
end

odd("white space around it", function(sample) return " \r\n\t" .. sample .. " \r\n\t" end)
odd("64 levels", function(sample) return support.with(sample, '"x":' .. ("["):rep(63) .. ("]"):rep(63)) end)
odd("invalid UTF-8 in a string nobody reads", function(sample) return support.with(sample, '"x":"\255\254\192\128"') end)
odd("invalid UTF-8 in the name of a field", function(sample) return support.with(sample, '"\255":1') end)
odd("an escaped NUL in a string", function(sample) return support.with(sample, '"x":"a\\u0000b"') end)
odd("an escaped NUL in the name of a field", function(sample) return support.with(sample, '"balance\\u0000":666') end)
odd("names in other letters, as other fields", function(sample) return support.with(sample, '"Balance":666,"DATA":666,"Credit":"666"') end)
odd("an empty name", function(sample) return support.with(sample, '"":666') end)
odd("1,000 fields more", function(sample)
  local fields = {}
  for i = 1, 1000 do fields[i] = ('"f%d":%d'):format(i, i) end
  return support.with(sample, table.concat(fields, ","))
end)

for _, case in ipairs { { "the last counts", "1", "2", { remaining = 2, exact = "2" } },
                        { "one wrong, the last right", '"x"', "2", { remaining = 2, exact = "2" } },
                        { "the last wrong", "1", '"x"', protocol "expected" } } do
  row("duplicate keys: " .. case[1], function(about)
    return http(200, support.twice(about.provider, case[2], case[3]))
  end, case[4], { providers = NUMBERS })
end
row("duplicate keys: Fish's last counts", http(200, '{"credit":"1","credit":"2.50"}'), { remaining = 2.5, exact = "2.50" },
  { providers = { "fish" } })

-- Numbers ------------------------------------------------------------------------------------------------------------

local function number(text, expect, providers)
  row("the number " .. (#text < 30 and text or #text .. " characters long"), function(about)
    return http(200, support.amount(about.provider, text))
  end, expect, { providers = providers or NUMBERS })
end
local FRACTIONS = { "supertone", "srtgen", "breeze" } -- Suno's are whole

number("0", { remaining = 0, exact = "0" })
number("-0", { remaining = 0, exact = "0" })
number("-5", { remaining = -5, exact = "-5" })
number("1e2", { remaining = 100, exact = "100" })
number("1E+2", { remaining = 100, exact = "100" })
number("9007199254740991", { remaining = 9007199254740991, exact = "9007199254740991" })
number("9007199254740993", { remaining = 9007199254740992, exact = "9007199254740992" })
number("1.0", { remaining = 1, exact = "1" })
number("0.1", { remaining = 0.1, exact = "0.1" }, FRACTIONS)
number("0.2", protocol "a fraction", { "suno" })
number("1e-400", { remaining = 0, exact = "0" })
number("0." .. ("1"):rep(400), { remaining = 0.1111111111111111, exact = "0.1111111111111111" }, FRACTIONS)
for _, text in ipairs { "1e400", "-1e400", ("9"):rep(400), "1e99999999999999999999" } do number(text, protocol "out of range") end
for _, text in ipairs { "0x10", "-0x10", "NaN", "nan", "Infinity", "-Infinity", "+5", "01", "-01", "1e", "1e+", "-", "--1", ".5", "1_000",
                        "1,000", "1 000", "1,5", "1.5.2", "5credits" } do
  number(text, protocol "not JSON")
end
for _, text in ipairs { '"12"', "true", "[]", "[1]", "{}", '{"a":1}' } do number(text, protocol "expected") end
number("null", protocol "found null", { "suno", "srtgen", "breeze" })
row("Supertone's null: unknown, never 0", http(200, '{"balance":null}'), { remaining = false, exact = false }, { providers = { "supertone" } })

-- Fish's credit ------------------------------------------------------------------------------------------------------

local FISH = { providers = { "fish" } }
for _, text in ipairs { " 12", "12 ", "+5", "1e3", "12.", ".5", "1,000.00", "1.000,00", "12,34", "", "-", "--5", "0x10", "nan", "inf",
                        "1_000", "1/2", "$12", "12 USD", "12\\u0000", "12\\n", "\239\188\145\239\188\146", "1\255", ("9"):rep(400) } do
  row(("Fish's credit '%s'"):format(text:sub(1, 20)), http(200, '{"credit":"' .. text .. '"}'), protocol "credit", FISH)
end
for _, case in ipairs { { "-5", -5 }, { "0", 0 }, { "-0", 0 }, { "007", 7 }, { "12.340000", 12.34 }, { "9007199254740993", 9007199254740992 },
                        { "0." .. ("1"):rep(400), 0.1111111111111111 } } do
  local text, remaining = case[1], case[2]
  row(("Fish's credit '%s'"):format(text:sub(1, 20)), http(200, '{"credit":"' .. text .. '"}'), { remaining = remaining, exact = text }, FISH)
end
row("Fish's credit as a number", http(200, '{"credit":12.34}'), protocol "found a number", FISH)

-- What a refusal says ------------------------------------------------------------------------------------------------

row("invalid UTF-8 in a provider's message", function(about)
  return http(401, support.message(about.provider, "bad\255\254key"))
end, refusal(401, { says = "bad??key" }))
row("a NUL, a line end and an escape in a provider's message", function(about)
  return http(401, support.message(about.provider, "bad\\u0000\\r\\n\\u001b[31mkey"))
end, refusal(401, { says = "bad [31mkey" }))
row("a provider's message of 1 MiB", function(about)
  local empty = support.message(about.provider, "")
  return http(401, support.message(about.provider, ("x"):rep(MIB - #empty)))
end, refusal(401, { says = ("x"):rep(100) }))

-- TLS ----------------------------------------------------------------------------------------------------------------

local function tls(name, expect, more)
  more.over = { "https" }
  row("TLS: " .. name, more.answer or ok, expect, more)
end
local function refused(certificate, says)
  return fails("tls", { status = false, attempts = 1, says = says }), { certificate = certificate, unseen = true }
end

tls("expired", refused("expired", "expired"))
tls("not yet valid", refused("not-yet-valid", "not yet valid"))
tls("wrong name", refused("wrong-name", "name"))
tls("self-signed", refused("self-signed", "self-signed"))
tls("weak key", refused("weak-key", "weak"))
tls("TLS 1.1 only", refused("tls-1.1"))
tls("TLS 1.1 only, where OpenSSL's configuration allows it", fails("tls", { status = false }),
  { certificate = "tls-1.1", unseen = true, environment = support.permissive_openssl })
tls("weak key, where OpenSSL's configuration allows it", BALANCE, { certificate = "weak-key", environment = support.permissive_openssl })
tls("unknown issuer", fails("tls", { status = false, says = "issuer" }), { trust = "nobody", unseen = true })
tls("an issuer of the same name with another key", fails("tls", { status = false }), { trust = "other", unseen = true })
tls("a ca_file that is not there", fails("tls", { status = false }), { check = { timeout = 10, retries = 0, ca_file = "/nowhere/ca.pem" }, unseen = true })
tls("a ca_file that is no certificate", fails("tls", { status = false }), { check = { timeout = 10, retries = 0, ca_file = "Makefile" }, unseen = true })
tls("plain text on the TLS port", fails("tls", { status = false }), { answer = http(400, "{}"), server = { blunt = 1 } })
tls("an alert", fails("tls", { status = false }), { answer = "\21\3\3\0\2\2\40", server = { blunt = 1, close = 1 } })
tls("a handshake that stops half way", fails("timeout", { status = false }), { server = { cut = 300 }, check = SHORT, longest = 1 })
tls("a handshake that stops after its first byte", fails("timeout", { status = false }), { server = { cut = 1 }, check = SHORT, longest = 1 })
tls("a handshake that is closed half way", fails("tls", { status = false }), { server = { cut = 300, close = 1 } })
tls("closed at once", fails("tls", { status = false }), { answer = "", server = { blunt = 1, close = 1 } })
tls("good through ca_file", BALANCE, {})
tls("good through ca_path", BALANCE, { trust = "ca_path" })
for _, variable in ipairs { "SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE" } do
  tls("good through " .. variable, BALANCE, { trust = "nobody", environment = function(run)
    return { [variable] = variable == "SSL_CERT_DIR" and run.ca_path or run.ca_file }
  end })
end

return { rows = rows, providers = ALL }
