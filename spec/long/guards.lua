-- Do the tests notice when a guard is gone? guards.lua [WORD]: takes the guards of src/ out, one at a time, in a copy of the
-- tree, and runs the test that is named for it, which passes as long as the guard is there and must fail now. With a WORD
-- only the guards whose names hold it. Run by `make guards`; the list stands in doc/reliability.md too.

local files = require "spec.support.files"

-- { guard, file of src/, what stands there, what is put in its place ("" for nothing), spec, a part of the test's name, and
-- which of make's targets runs it, where it is not `test` }
local guards = {
  { "a body has at most 1 MiB", "response.c",
    "    if (length > RESPONSE_BODY_LIMIT - response->body_length) return RESPONSE_TOO_LARGE;\n", "",
    "transport", "200 MB are not waited for" },
  { "headers have at most 64 KiB", "exchange.c",
    "    if (response->header_bytes > RESPONSE_HEADER_LIMIT) return refuse(exchange, headers_too_large);\n", "",
    "faults", "70 KiB of headers" },
  { "no redirect is followed", "handle.c", "CURLOPT_FOLLOWLOCATION, 0L", "CURLOPT_FOLLOWLOCATION, 1L",
    "faults", "leads nobody elsewhere" },
  { "the certificate is verified", "handle.c", "CURLOPT_SSL_VERIFYPEER, 1L", "CURLOPT_SSL_VERIFYPEER, 0L",
    "tls", "not trusted by an authority that nobody knows" },
  { "so is the name in it", "handle.c", "CURLOPT_SSL_VERIFYHOST, 2L", "CURLOPT_SSL_VERIFYHOST, 0L", "tls", "wrong%-name" },
  { "TLS 1.2 or newer", "handle.c", "CURL_SSLVERSION_TLSv1_2", "CURL_SSLVERSION_TLSv1_0", "faults", "TLS 1.1 only" },
  { "an authority of one's own stands alone", "exchange.c", "own_trust ? exchange->ca_file : shared->ca_file",
    "shared->ca_file", "tls", "own authority and proxy" },
  { "a handle keeps nothing of the check before", "handle.c", "if (is_set(set, text)) return true;",
    "if (is_set(set, set->text)) return true;", "tls", "own authority and proxy" },
  { "no key to a proxy: header of the server's", "handle.c", "CURLHEADER_SEPARATE", "CURLHEADER_UNIFIED",
    "keys", "through a proxy in a tunnel only" },
  { "no plain http through a proxy", "request.c", "problem = REQUEST_PROXY_IN_THE_CLEAR;", "problem = REQUEST_FINE;",
    "options", "a proxy on the way to plain http" },
  { "plain http is for loopback", "request.c", "problem = REQUEST_NOT_LOOPBACK;", "problem = REQUEST_FINE;",
    "options", "a base URL that is not https" },
  { "a key has no line end", "check.c", "if (!is_printable(options->api_key, options->api_key_length)) {",
    "if (!is_printable(options->api_key, 0)) {", "options", "a key with a control character" },
  { "programs inherit no connection", "handle.c", "address->socktype | SOCK_CLOEXEC", "address->socktype",
    "keys", "inherit no descriptor" },
  { "a check's texts are overwritten", "check.c", "    secret_wipe(check->text, check->text_size);", "    ",
    "keys", "our own copies of a key are overwritten" },
  { "a body is overwritten", "response.c", "    secret_wipe(response->body, response->body_length);\n", "",
    "keys", "our own copies of a key are overwritten" },
  { "a key that comes back is hidden", "text.c",
    "return same == secret->length || same >= TEXT_SECRET_PART ? same : 0;", "return 0 * same;",
    "keys", "a failure does not hold the key" },
  { "a name server that hangs is left alone", "handle.c", "CURLOPT_QUICK_EXIT, 1L", "CURLOPT_QUICK_EXIT, 0L",
    "limits", "a name server that does not answer" },
  { "a connection is made in its time", "handle.c",
    "           curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, way->connect_timeout) == CURLE_OK &&\n", "",
    "limits", "while the connection is not made" },
  { "a wait that does not fit is not begun", "retry.c", "return delay < retry->time_left ? delay : -1;", "return delay;",
    "faults", "Retry%-After" },
  { "not more at once than allowed", "schedule.c",
    "    if (schedule->in_flight >= schedule->max_in_flight) return NULL;\n", "", "transport", "many at once" },
  { "an amount is finite", "reading.c",
    '    if (!isfinite(*number)) return wrong(reading, name, need, expected, "a number out of range");\n', "",
    "parse", "1e400" },
  { "no answer is unpacked", "answer.c", "    } else if (compressed) {\n", "    } else if (compressed && too_large) {\n",
    "faults", "gzip" },
  { "JSON ends with the body", "json.c", "if (memchr(text, '\\0', length) != NULL) return false;", ";",
    "parse", "NUL" },
  { "JSON has a depth", "json.c", "lua_pushinteger(L, JSON_DEPTH);", "lua_pushinteger(L, 100000);", "parse", "65 levels" },
  { "the end of the headers has come", "exchange.c", "(!response->header_ended || response->status < 200)",
    "response->status < 200", "faults", "closed in the headers" },
  { "a child forgets its parent's threads", "transport.c", "    generation++;\n", "", "session", "fork" },
  { "the finished have a lock", "transport.c",
    "    pthread_mutex_lock(&transport->lock);\n    list_move(taken, &transport->done);\n    pthread_mutex_unlock(&transport->lock);\n",
    "    list_move(taken, &transport->done);\n", "session", "a session", "tsan" },
  { "no thread outlives the end of the process", "transport.c", "atexit(stop_all_at_exit) == 0", "true",
    "exit", "os.exit" },
}

local function command(line)
  local ok, _, status = os.execute(line)
  return (ok == true or ok == 0) and (status == nil or status == 0)
end

local copy = files.lines_of("mktemp -d")[1]

-- The same place in the text, once and only once.
local function exchange(text, old, new)
  local first, last = text:find(old, 1, true)
  if not first then return nil, "stands there no more" end
  if text:find(old, last + 1, true) then return nil, "stands there more than once" end
  return text:sub(1, first - 1) .. new .. text:sub(last + 1)
end

-- True when the named tests passed; nil and why when nothing could be said of them.
local function passes(spec, name, target)
  local filter = name:gsub(" ", "."):gsub("'", ".")
  local line = ("cd '%s' && make --silent %s SPECS=\"--filter='%s' spec/%s_spec.lua\" >output 2>&1")
    :format(copy, target or "test", filter, spec)
  local passed = command(line)
  local output = files.read(copy .. "/output")
  local good, bad, broken = output:match "(%d+) success%a* / (%d+) failure%a* / (%d+) error"
  if not good then return nil, "did not run: " .. output:sub(-200) end
  if good + bad + broken == 0 then return nil, "no test has that name" end
  return passed
end

local function try(guard)
  local what, file, old, new, spec, name, target = table.unpack(guard)
  local path = copy .. "/src/" .. file
  local whole = files.read(path)
  local without, why = exchange(whole, old, new)
  if not without then return false, why end
  local before, problem = passes(spec, name, target)
  if not before then return false, problem or "the test fails with the guard there" end
  files.write(path, without)
  local after, trouble = passes(spec, name, target)
  files.write(path, whole)
  if after == nil then return false, trouble end
  return not after, after and "nothing noticed that " .. what .. " is gone" or nil
end

local function main(word)
  assert(command(("git ls-files -z | xargs -0 cp --parents -t '%s' && cp -r build '%s'"):format(copy, copy)))
  local tried, missed = 0, 0
  for _, guard in ipairs(guards) do
    if not word or guard[1]:find(word, 1, true) then
      local noticed, why = try(guard)
      tried, missed = tried + 1, missed + (noticed and 0 or 1)
      print(("%-45s %-12s %-8s %s"):format(guard[1], guard[2], noticed and "noticed" or "MISSED",
        noticed and ("make %s: spec/%s_spec.lua %s"):format(guard[7] or "test", guard[5], guard[6]) or why))
      io.stdout:flush()
    end
  end
  print(("%d guards taken out, %d noticed"):format(tried, tried - missed))
  return missed == 0
end

local ok, fine = pcall(main, arg[1])
command("rm -rf " .. files.quote(copy))
if not ok then io.stderr:write(tostring(fine), "\n") end
os.exit(ok and fine)
