--- OpenResty: a real nginx with its Lua module, two workers, against the sandbox and raw answers.

local cjson = require "cjson"
local cqueues = require "cqueues"
local nginx = require "spec.support.nginx"
local support = require "spec.support.server"

local KEY = "key-that-nobody-may-see"

-- What the tests ask for in the worker. `?base=` says where, `?provider=` of whom.
local preamble = [[
lua_shared_dict voicecredits 1m;
lua_shared_dict notes 1m;
init_by_lua_block {
  openresty = require "voicecredits.openresty"
  function asked()
    local args = ngx.req.get_uri_args()
    return args.provider or "supertone",
      { api_key = "]] .. KEY .. [[", base_url = args.base, timeout = tonumber(args.timeout) or 15, retries = 0 }
  end
  function show(balance, failure)
    if not balance then return "failure: " .. tostring(failure) end
    return tostring(balance.remaining)
  end
  function note(name, value) ngx.shared.notes:set(name, value) end
  %s
}
]]

local locations = [[
location = / { return 200 "static\n"; }
location = /pid { content_by_lua_block { ngx.print(ngx.worker.pid()) } }
location = /note { content_by_lua_block { ngx.print(ngx.shared.notes:get(ngx.var.arg_name)) } }
location = /check { content_by_lua_block { ngx.print(show(openresty.check(asked()))) } }
location = /counted {
  content_by_lua_block {
    local provider, options = asked()
    local looks, begun = 0, ngx.now()
    function options.wait(session, attempt)
      looks = attempt
      openresty.wait(session, attempt)
    end
    local text = show(openresty.check(provider, options))
    ngx.print(text, " ", looks, " ", ngx.now() - begun)
  }
}
location = /all {
  content_by_lua_block {
    local provider, options = asked()
    local rows = openresty.check_all({ { provider = provider }, { provider = provider, account = "two" } }, options)
    for _, row in ipairs(rows) do ngx.say(row.account, " ", show(row.balance, row.failure)) end
  }
}
location = /rewrite {
  rewrite_by_lua_block { ngx.ctx.shown = show(openresty.check(asked())) }
  content_by_lua_block { ngx.print(ngx.ctx.shown) }
}
location = /access {
  access_by_lua_block {
    local provider, options = asked()
    local balance, failure = openresty.ensure(provider, tonumber(ngx.var.arg_minimum), options)
    if not balance then return ngx.exit(failure.kind == "insufficient" and 402 or 503) end
  }
  content_by_lua_block { ngx.print("let in") }
}
location = /timer {
  content_by_lua_block {
    local provider, options = asked()
    ngx.timer.at(0, function() note("timer", show(openresty.check(provider, options))) end)
  }
}
location = /filter {
  header_filter_by_lua_block {
    ngx.header["X-Problem"] = select(2, pcall(openresty.check, asked())):gsub("%s", " ")
  }
  content_by_lua_block { ngx.print("content") }
}
location = /log {
  content_by_lua_block { ngx.print("content") }
  log_by_lua_block { note("log", (select(2, pcall(openresty.check_all)))) }
}
location = /bad {
  content_by_lua_block {
    local expression = ngx.unescape_uri(ngx.var.arg_lua)
    ngx.print((select(2, pcall(assert(loadstring(expression, "=given"))))))
  }
}
location = /credits { content_by_lua_block { openresty.handler() } }
location = /metrics { content_by_lua_block { openresty.metrics() } }
location = /rows {
  content_by_lua_block {
    local rows, checked_at = openresty.balances()
    local row = openresty.read("supertone")
    local remaining = row and row.balance and row.balance.remaining
    ngx.print(require "cjson".encode { pid = ngx.worker.pid(), count = rows and #rows, checked_at = checked_at,
      remaining = remaining, kind = type(remaining), failed_at = row and row.failed_at,
      known = row and row.balance and true, asking = ngx.shared.voicecredits:get "voicecredits:lock" })
  }
}
location = /stored {
  content_by_lua_block {
    for _, key in ipairs(ngx.shared.voicecredits:get_keys(0)) do
      ngx.say(key, " = ", tostring(ngx.shared.voicecredits:get(key)))
    end
  }
}
]]

local function escape(text)
  return (text:gsub("[^%w%-_.~]", function(letter) return ("%%%02X"):format(letter:byte()) end))
end

local function refresh_of(options)
  return ("init_worker_by_lua_block { openresty.refresh { %s } }\n"):format(options)
end

local function supertone(balance)
  return support.response(200, ('{"balance":%s}'):format(balance), { ["Content-Type"] = "application/json" })
end

local run = nginx.is_there() and describe or pending

run("openresty", function()
  local raw, sandbox, server

  local function start(options)
    options = options or {}
    server = nginx.start {
      http = preamble:format(options.init or "") .. (options.http or ""),
      server = locations .. (options.server or ""), env = options.env,
    }
    return server
  end

  local function account(behaviour, more)
    return ('{ provider = "supertone", api_key = "%s", base_url = "%s"%s }'):format(KEY, raw:url(behaviour), more or "")
  end

  local function check(behaviour, location)
    return ("%s?base=%s"):format(location or "/check", escape(raw:url(behaviour)))
  end

  local function rows() return cjson.decode(server:get("/rows").body) end

  -- Gets a path from both workers: connections fall to them as the kernel likes.
  local function from_both(path)
    local answers, count = {}, 0
    nginx.eventually("both workers answer", function()
      local answer = cjson.decode(server:get(path).body)
      if not answers[answer.pid] then answers[answer.pid], count = answer, count + 1 end
      return count == 2
    end)
    return answers
  end

  local function assert_calm()
    assert.same({}, server:alarms())
    assert.falsy(server:log():find(KEY, 1, true))
  end

  setup(function()
    raw, sandbox = support.raw_server(), support.sandbox()
    for i = 1, 100 do raw:set("b" .. i, supertone(i), { delay = (i * 37 % 100) / 200 }) end
    raw:set("good", supertone(250))
  end)

  teardown(function()
    raw:stop()
    sandbox:stop()
  end)

  before_each(function() raw:clear() end)

  after_each(function()
    if server then server:stop() end
    server = nil
  end)

  describe("check", function()
    it("works in content, access, rewrite and timers", function()
      start()
      assert.equal("250", server:get(check "good").body)
      assert.equal("default 250\ntwo 250\n", server:get(check("good", "/all")).body)
      assert.equal("250", server:get(check("good", "/rewrite")).body)
      assert.equal("let in", server:get(check("good", "/access") .. "&minimum=250").body)
      assert.equal(402, server:get(check("good", "/access") .. "&minimum=251").status)
      server:get(check("good", "/timer"))
      nginx.eventually("the timer", function() return server:get("/note?name=timer").body == "250" end)
      assert_calm()
    end)

    it("tells in one line that a phase cannot wait", function()
      start { http = [[init_worker_by_lua_block { note("init_worker", (select(2, pcall(openresty.check, "fish")))) }]] }
      local expected = "'%s' has to wait, which nginx does not allow in its phase '%s': call it in a timer"
      local function tells(text, ...) assert.truthy(text:find(expected:format(...), 1, true), text) end
      tells(server:get("/note?name=init_worker").body, "check", "init_worker")
      tells(server:get("/filter").headers["x-problem"], "check", "header_filter")
      server:get("/log")
      nginx.eventually("the log phase", function() return #server:get("/note?name=log").body > 3 end)
      tells(server:get("/note?name=log").body, "check_all", "log")
      assert_calm()
    end)

    it("refuses what no check knows, at the line that called it", function()
      start()
      local function problem(lua) return server:get("/bad?lua=" .. escape(lua)).body end
      assert.equal("given:1: bad argument #2 to 'check' (unknown fish option 'tiemout', the nearest is 'timeout')",
        problem "local a = openresty.check('fish', { tiemout = 1 })")
      assert.truthy(problem("local a = openresty.check('fish', 7)"):find("bad argument #2 to 'check'", 1, true))
      assert.truthy(problem("local a = openresty.check('fihs')"):find("the nearest is 'fish'", 1, true))
      assert_calm()
    end)

    it("gives each of a hundred requests its own answer, and none spins", function()
      start()
      local paths = {}
      for i = 1, 100 do paths[i] = check("b" .. i, "/counted") end
      for i, answer in ipairs(server:get_all(paths)) do
        local balance, looks, elapsed = answer.body:match("^(%d+) (%d+) ([%d.]+)$")
        assert.equal(i, tonumber(balance), answer.body)
        assert.is_true(tonumber(looks) <= 30 + 200 * tonumber(elapsed), answer.body) -- 10 ms apart after the first few
      end
      for _, worker in ipairs(server:workers()) do assert.is_true(nginx.count(worker).threads <= 2) end
      assert_calm()
    end)

    it("lets the others answer while one hangs", function()
      start()
      raw:set("hangs-a-while", supertone(7), { delay = 2 })
      local paths, order = { check "hangs-a-while", check "hangs-a-while" }, {}
      for i = 3, 40 do paths[i] = i % 2 == 0 and "/" or check "good" end
      local answers = server:get_all(paths, function(i) order[#order + 1] = i end)
      assert.equal(40, #order)
      assert.is_true(order[39] + order[40] == 3) -- those two came last
      for i, answer in ipairs(answers) do
        assert.equal(i < 3 and "7" or i % 2 == 0 and "static\n" or "250", answer.body)
      end
      assert_calm()
    end)

    it("times out alone, and the key is nowhere", function()
      start()
      local paths = { check "hang" .. "&timeout=0.3", check "good" }
      local answers = server:get_all(paths)
      assert.truthy(answers[1].body:find("^failure: .*timeout"), answers[1].body)
      assert.equal("250", answers[2].body)
      assert_calm()
    end)
  end)

  describe("request and parse", function()
    -- Debian has no package of lua-resty-http: this has the shape of its request_uri and of what that returns, the
    -- header table that is looked up in any letter case included, on nginx's own sockets.
    local fake = [[
      init_worker_by_lua_block {
        local function normal(name) return (name:lower():gsub("_", "-")) end
        local function new_headers()
          local by_normal = {}
          return setmetatable({}, {
            __index = function(self, name) return rawget(self, by_normal[normal(name)] or false) end,
            __newindex = function(self, name, value)
              local known = by_normal[normal(name)]
              by_normal[normal(name)] = known or name
              rawset(self, known or name, value)
            end,
          })
        end
        httpc = {}
        function httpc:request_uri(uri, params)
          local host, port, path = uri:match("^http://([^:/]+):(%d+)(/.*)$")
          local socket = ngx.socket.tcp()
          assert(socket:connect(host, tonumber(port)))
          local lines = { params.method .. " " .. path .. " HTTP/1.1", "Host: " .. host, "Connection: close" }
          for name, value in pairs(params.headers or {}) do lines[#lines + 1] = name .. ": " .. value end
          assert(socket:send(table.concat(lines, "\r\n") .. "\r\n\r\n" .. (params.body or "")))
          local status, reason = socket:receive("*l"):match("^HTTP/1.%d (%d+) (.*)$")
          local headers = new_headers()
          for line in function() return socket:receive("*l") end do
            if line == "" then break end
            local name, value = line:match("^([^:]+):%s*(.*)$")
            local known = headers[name]
            if type(known) == "table" then
              known[#known + 1] = value
            else
              headers[name] = known and { known, value } or value
            end
          end
          local body = socket:receive(tonumber(headers["content-length"]))
          return { status = tonumber(status), reason = reason, headers = headers, has_body = true, body = body,
            read_body = function() return body end, read_trailers = function() end }
        end
      }
    ]]
    local location = [[
      location = /resty {
        content_by_lua_block {
          local voicecredits = require "voicecredits"
          local provider, options = asked()
          options.api_key = ngx.var.arg_key
          local request = assert(voicecredits.request(provider, options))
          local response = assert(httpc:request_uri(request.url, request))
          local balance, failure = voicecredits.parse(provider, response)
          ngx.print(require "cjson".encode { remaining = balance and balance.remaining, kind = failure and failure.kind,
            retry_after = failure and failure.retry_after, request_id = (failure or balance).request_id,
            repeated = type(response.headers["retry-after"]) })
        }
      }
    ]]

    it("work with a client of lua-resty-http's shape", function()
      start { http = fake, server = location }
      for _, provider in ipairs { "supertone", "suno", "fish", "srtgen", "breeze" } do
        local path = ("/resty?provider=%s&base=%s&key="):format(provider, escape(sandbox:url()))
        local good = cjson.decode(server:get(path .. "sandbox").body)
        assert.equal("number", type(good.remaining), provider)
        assert.equal("authentication", cjson.decode(server:get(path .. "sandbox-denied").body).kind)
      end
      assert_calm()
    end)

    it("read headers of any letter case and those that came again", function()
      start { http = fake, server = location }
      local form = "HTTP/1.1 429 Slow\r\nContent-Length: 2\r\n%s: 7\r\n%s: 9\r\ncontent-TYPE: text/json\r\n\r\n{}"
      local first = { "Retry-After", "retry-after", "rEtRy-aFtEr" }
      local second = { "Retry-After", "RETRY-AFTER", "retry-After" }
      for i in ipairs(first) do
        raw:set("again" .. i, form:format(first[i], second[i]))
        local found = cjson.decode(server:get(check("again" .. i, "/resty") .. "&key=k").body)
        assert.same({ kind = "rate_limited", retry_after = 7, repeated = "table" }, found)
      end
      assert_calm()
    end)
  end)

  describe("refresh", function()
    it("lets one worker ask at a time, and all workers read", function()
      raw:set("slowly", supertone(42), { delay = 0.1 })
      start { http = refresh_of('interval = 0.05, accounts = { ' .. account "slowly" .. ' }') }
      nginx.eventually("ten rounds", function() return #raw:log() >= 10 end)
      assert.equal(1, raw:count().peak)
      for _, answer in pairs(from_both "/rows") do
        assert.equal(42, answer.remaining)
        assert.equal(1, answer.count)
      end
      assert_calm()
    end)

    it("asks no more often than the interval says, whoever looks", function()
      start { http = refresh_of('interval = 3600, accounts = { ' .. account "good" .. ' }') }
      nginx.eventually("the first round", function() return rows().remaining == 250 end)
      server:signal "reload"
      nginx.eventually("new workers", function() return server:log():find("gracefully shutting down", 1, true) end)
      from_both "/rows"
      assert.equal(1, #raw:log())
      assert_calm()
    end)

    it("keeps the last good value, dated, while a provider is down", function()
      raw:set("falters", supertone(12))
      start { http = refresh_of('interval = 0.05, retries = 0, accounts = { ' .. account "falters" .. ' }') }
      nginx.eventually("a balance", function() return rows().remaining == 12 end)
      local before = cjson.decode(server:get("/credits").body).accounts[1]
      assert.is_nil(before.failure)
      raw:set("falters", support.response(503, "{}"))
      nginx.eventually("a failure", function() return rows().failed_at end)
      local row = cjson.decode(server:get("/credits").body).accounts[1]
      assert.equal(12, row.balance.remaining)
      assert.is_true(row.balance.fetched_at <= row.failed_at)
      assert.equal("unavailable", row.failure.kind)
      local metrics = server:get("/metrics").body
      local labels = 'provider="supertone",account="default"'
      assert.truthy(metrics:find(('voicecredits_remaining{%s,unit="credits"} 12\n'):format(labels), 1, true))
      assert.truthy(metrics:find(('voicecredits_up{%s} 0\n'):format(labels), 1, true))
      assert.truthy(metrics:find(('voicecredits_failures_total{%s,kind="unavailable"} %%d+\n'):format(labels)))
      raw:set("falters", supertone(11))
      nginx.eventually("it comes back", function() return rows().remaining == 11 and not rows().failed_at end)
      local _, told = server:log():gsub("%[warn%][^\n]*supertone: unavailable", "")
      assert.equal(1, told) -- once per crossing, however many rounds failed
      assert.truthy(server:log():find("supertone answers again", 1, true))
      assert_calm()
    end)

    it("goes on after a round that raised an error", function()
      start { http = [[init_worker_by_lua_block {
        local voicecredits, broken = require "voicecredits", 2
        local check_all = voicecredits.check_all
        function voicecredits.check_all(...)
          if broken > 0 then broken = broken - 1 error("a bad round") end
          return check_all(...)
        end
        openresty.refresh { interval = 0.05, accounts = { ]] .. account "good" .. [[ } }
      }]] }
      nginx.eventually("a balance", function() return rows().remaining == 250 end)
      assert.truthy(server:log():find("a refresh went wrong: [^\n]*a bad round"))
    end)

    it("takes the accounts and keys from the environment", function()
      local env = {}
      for _, variable in ipairs(sandbox:environment()) do env[variable[1]] = variable[2] end
      start { env = env, http = refresh_of "interval = 60" }
      nginx.eventually("five balances", function() return rows().count == 5 end)
      local document = cjson.decode(server:get("/credits").body)
      for _, row in ipairs(document.accounts) do assert.truthy(row.balance, row.provider) end
      assert_calm()
    end)

    it("stores no key, no body and nobody's data, and unknown is not zero", function()
      raw:set("unknown", supertone "null")
      local others = [[{ provider = "srtgen", api_key = "sandbox", base_url = "%s" },
        { provider = "fish", account = "a\"b\\c\nd", api_key = "%s", base_url = "%s" }]]
      start { http = refresh_of(("interval = 60, timeout = 5, accounts = { %s, %s }")
        :format(account "unknown", others:format(sandbox:url(), KEY, sandbox:url()))) }
      nginx.eventually("three rows", function() return rows().count == 3 end)
      local stored = server:get("/stored").body
      for _, text in ipairs { KEY, "Alex", "@", "raw", "sandbox" } do assert.falsy(stored:find(text, 1, true), text) end
      assert.truthy(stored:find('"remaining":null', 1, true))
      local found = rows()
      assert.equal("nil", found.kind)
      assert.is_true(found.known)
      local metrics = server:get("/metrics").body
      assert.falsy(metrics:find('voicecredits_remaining{provider="supertone"', 1, true))
      assert.truthy(metrics:find('voicecredits_up{provider="supertone",account="default"} 1\n', 1, true))
      assert.truthy(metrics:find([[voicecredits_up{provider="fish",account="a\"b\\c d"} 0]] .. "\n", 1, true), metrics)
      assert_calm()
    end)

    it("refuses unknown options and accounts, naming the nearest", function()
      start()
      local function problem(options)
        return server:get("/bad?lua=" .. escape(("local a = openresty.refresh { %s }"):format(options))).body
      end
      local expected = {
        ["intervall = 3"] = "unknown option 'intervall', the nearest is 'interval'",
        ["tiemout = 3"] = "unknown option 'tiemout', the nearest is 'timeout'",
        ["timeout = 'x'"] = "option 'timeout' must be a number of seconds, found string",
        ["interval = 0"] = "option 'interval' must be a number of seconds, more than 0",
        ["dict = 'nowhere'"] = "there is no shared dictionary 'nowhere': nginx's configuration needs "
          .. "'lua_shared_dict nowhere 1m;'",
        ["accounts = 7"] = "option 'accounts' must be an array, found number",
        ["accounts = { { provider = 'fihs' } }"] = "account 1: unknown provider 'fihs', the nearest is 'fish'",
        ["accounts = { { provider = 'fish' }, { provider = 'fish', user = 'x' } }"] =
          "account 2: unknown fish option 'user', the nearest is 'user_id'",
        ["accounts = { { provider = 'fish' }, { provider = 'fish' } }"] =
          "account 2: there is another fish: give each a label of its own, 'account'",
      }
      for options, reason in pairs(expected) do
        assert.equal(("given:1: bad argument #1 to 'refresh' (%s)"):format(reason), problem(options))
      end
      assert.equal("given:1: bad argument #1 to 'balances' (unknown option 'dct', the nearest is 'dict')",
        server:get("/bad?lua=" .. escape "local a = openresty.balances { dct = 'x' }").body)
      assert_calm()
    end)
  end)

  describe("handler and metrics", function()
    it("answer GET and HEAD, and 503 before the first round", function()
      start()
      local early = server:get "/credits"
      assert.equal(503, early.status)
      assert.same({}, cjson.decode(early.body).accounts)
      assert.equal("no-store", early.headers["cache-control"])
      assert.equal("1", early.headers["retry-after"])
      for _, path in ipairs { "/credits", "/metrics" } do
        local refused = server:get(path, "POST")
        assert.equal(405, refused.status)
        assert.equal("GET, HEAD", refused.headers["allow"])
      end
      assert_calm()
    end)

    it("answer in the schema of the command and in Prometheus' text format", function()
      start { http = refresh_of('interval = 60, accounts = { ' .. account "good" .. ' }') }
      nginx.eventually("a balance", function() return rows().remaining == 250 end)
      local answer = server:get "/credits"
      assert.equal(200, answer.status)
      assert.equal("application/json", answer.headers["content-type"])
      assert.equal("no-store", answer.headers["cache-control"])
      local document = cjson.decode(answer.body)
      assert.equal("voicecredits.check.v1", document.schema)
      assert.equal(250, document.accounts[1].balance.remaining)
      local head = server:get("/credits", "HEAD")
      assert.equal("", head.body)
      assert.equal(tostring(#answer.body), head.headers["content-length"])

      local metrics = server:get "/metrics"
      assert.equal("text/plain; version=0.0.4; charset=utf-8", metrics.headers["content-type"])
      assert.equal("no-store", metrics.headers["cache-control"])
      local typed = {}
      for line in metrics.body:gmatch("[^\n]+") do
        local name = line:match("^# TYPE (%S+) %a+$")
        if name then typed[name] = true end
        local sampled = line:match("^([%w_]+){.*} [%d.e+-]+$")
        assert.truthy(line:find("^# HELP ") or name or sampled and typed[sampled], line)
      end
      assert_calm()
    end)
  end)

  describe("a worker's end", function()
    local function wait_for_new_workers(old)
      nginx.eventually("the old workers are gone", function()
        local workers = server:workers()
        for _, worker in ipairs(workers) do
          for _, before in ipairs(old) do
            if worker == before then return false end
          end
        end
        return #workers == 2
      end)
    end

    -- The same work for each worker, then what each holds.
    local function load_and_count()
      local seen, most = {}, { threads = 0, descriptors = 0 }
      nginx.eventually("both workers have worked", function()
        server:get(check "good")
        seen[server:get("/pid").body] = true
        local count = 0
        for _ in pairs(seen) do count = count + 1 end
        return count >= 2
      end)
      local paths = {}
      for i = 1, 20 do paths[i] = check "good" end
      server:get_all(paths)
      for _, worker in ipairs(server:workers()) do
        local count = nginx.count(worker)
        most.threads = math.max(most.threads, count.threads)
        most.descriptors = math.max(most.descriptors, count.descriptors)
      end
      return most
    end

    it("leaves no thread and no descriptor behind after reloads, and the master never meets libcurl", function()
      start { http = refresh_of('interval = 0.1, accounts = { ' .. account "good" .. ' }') }
      local first, master = load_and_count(), nginx.count(server.master)
      assert.equal(2, first.threads) -- nginx's own and the I/O thread
      for _ = 1, 4 do
        local old = server:workers()
        server:signal "reload"
        wait_for_new_workers(old)
        assert.equal("250", server:get(check "good").body)
        assert.equal(250, rows().remaining) -- the dictionary outlives its workers
      end
      local last = load_and_count()
      assert.equal(2, last.threads)
      -- Kept connections to the server differ from time to time: at most 8 for a host.
      assert.is_true(last.descriptors <= first.descriptors + 8, first.descriptors .. ", then " .. last.descriptors)
      local count = nginx.count(server.master)
      assert.same({ threads = 1, descriptors = master.descriptors }, count)
      assert.is_false(nginx.has_mapped(server.master, "libcurl"))
      assert_calm()
    end)

    it("is not held up by a session that was prepared and never used", function()
      start { http = "init_worker_by_lua_block { assert(openresty.prepare()) }" }
      for _, worker in ipairs(server:workers()) do
        nginx.eventually("the session", function() return nginx.count(worker).threads == 2 end)
      end
      assert.equal("250", server:get(check "good").body)
      for _, worker in ipairs(server:workers()) do assert.equal(2, nginx.count(worker).threads) end
      server:signal "stop"
      assert.equal(0, server:finish())
      assert_calm()
    end)

    it("and its beginning leave the master alone, which refuses what only a worker may do", function()
      start { init = [[
        note("prepare", (select(2, pcall(openresty.prepare))))
        note("refresh", (select(2, pcall(openresty.refresh))))
      ]], http = [[init_worker_by_lua_block { note("prepared", tostring(openresty.prepare())) }]] }
      assert.truthy(server:get("/note?name=prepare").body:find("call it in init_worker_by_lua", 1, true))
      assert.truthy(server:get("/note?name=refresh").body:find("call it in init_worker_by_lua", 1, true))
      assert.equal("true", server:get("/note?name=prepared").body)
      assert.equal(1, nginx.count(server.master).threads)
      assert.is_false(nginx.has_mapped(server.master, "libcurl"))
      assert_calm()
    end)

    it("by a signal is made good by the next worker", function()
      start()
      for _, signal in ipairs { "KILL", "TERM" } do
        local old = server:workers()
        assert.equal(2, load_and_count().threads)
        for _, worker in ipairs(old) do os.execute(("kill -%s %d"):format(signal, worker)) end
        wait_for_new_workers(old)
        assert.equal(2, load_and_count().threads)
      end
      for _, line in ipairs(server:alarms()) do assert.truthy(line:find("exited on signal 9", 1, true), line) end
    end)

    it("in the middle of its turn gives the turn to another", function()
      raw:set("turn", supertone(5), { delay = 60 })
      start { http = refresh_of('interval = 0.1, timeout = 1, retries = 0, accounts = { ' .. account "turn" .. ' }') }
      local asking = nginx.eventually("a worker asks", function()
        return #raw:log() == 1 and tonumber(rows().asking)
      end)
      os.execute(("kill -KILL %d"):format(asking))
      raw:set("turn", supertone(6))
      nginx.eventually("another worker's balance", function()
        local ok, found = pcall(rows)
        return ok and found.remaining == 6
      end)
    end)

    it("does not wait for a provider that hangs", function()
      for _, way in ipairs { "quit", "reload" } do
        raw:clear()
        start { http = refresh_of('interval = 0.1, timeout = 300, accounts = { ' .. account "hang" .. ' }') }
        nginx.eventually("a worker asks", function() return #raw:log() == 1 end)
        local old = server:workers()
        server:signal(way)
        if way == "quit" then
          assert.equal(0, server:finish())
        else
          wait_for_new_workers(old)
          nginx.eventually("a new worker asks", function() return tonumber(rows().asking) end)
        end
        assert_calm()
        server:stop()
      end
    end)

    it("by stop or quit while checks run is no crash", function()
      local tls = support.tls_server { body = '{"balance":1}' }
      for _, way in ipairs { "stop", "quit" } do
        raw:clear()
        start()
        local base = { raw:url "hang", tls.url, tls.localhost_url, "https://127.0.0.1:" .. raw.port }
        local loop = cqueues.new()
        for i = 1, 20 do
          loop:wrap(function()
            local timeout = way == "stop" and 300 or 1
            pcall(server.get, server, ("/check?timeout=%d&base=%s"):format(timeout, escape(base[i % #base + 1])))
          end)
        end
        loop:wrap(function()
          nginx.eventually("checks run", function() return #raw:log() >= 5 end)
          server:signal(way)
        end)
        assert(loop:loop())
        assert.equal(0, server:finish())
        assert_calm()
        server:stop()
      end
      tls:stop()
    end)

    it("at any moment of a TLS handshake is no crash", function()
      local tls = support.tls_server { body = '{"balance":1}' }
      for i = 1, 10 do
        start()
        local loop = cqueues.new()
        for _ = 1, 4 do
          loop:wrap(function() pcall(server.get, server, "/check?base=" .. escape(tls.url)) end)
        end
        loop:wrap(function()
          cqueues.sleep(i / 1000)
          server:signal "stop"
        end)
        assert(loop:loop())
        assert.equal(0, server:finish())
        assert_calm()
        server:stop()
      end
      tls:stop()
    end)
  end)

  it("has an example that runs as it stands", function()
    local env = {}
    for _, variable in ipairs(sandbox:environment()) do env[variable[1]] = variable[2] end
    server = nginx.start { example = "openresty", env = env }
    nginx.eventually("balances", function() return server:get("/credits").status == 200 end)
    assert.equal(5, #cjson.decode(server:get("/credits").body).accounts)
    local expected = 'voicecredits_remaining{provider="fish",account="default",unit="USD"} 12.34\n'
    assert.truthy(server:get("/metrics").body:find(expected, 1, true))
    assert.equal("spoken\n", server:get("/speak").body)
    assert.equal("fish/default: 12.340000 USD\n", server:get("/now").body)
    assert.equal("static\n", server:get("/").body)
    server:stop()

    env.FISH_API_KEY = "sandbox-empty"
    server = nginx.start { example = "openresty", env = env }
    nginx.eventually("balances", function() return server:get("/credits").status == 200 end)
    assert.equal(503, server:get("/speak").status)
    assert_calm()
  end)
end)
