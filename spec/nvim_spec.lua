-- The Neovim plugin, in the real Neovim, against the sandbox.

local editor = require "spec.support.nvim.editor"
local support = require "spec.support.server"

local sandbox, raw, folder, all_keys
setup(function()
  sandbox = support.sandbox { delay = 0.3 }
  raw = support.raw_server()
  folder = editor.folder()
  all_keys = {}
  for _, variable in ipairs(sandbox:environment()) do all_keys[variable[1]] = variable[2] end
end)
teardown(function()
  sandbox:stop()
  raw:stop()
  folder.remove()
end)

-- Runs a scenario with these variables; every provider's address is the sandbox.
local function run(text, env, options)
  options = options or {}
  options.folder = options.folder or folder
  options.env = {}
  for name, value in pairs(all_keys) do
    if name:find "_BASE_URL$" then options.env[name] = value end
  end
  for name, value in pairs(env or {}) do options.env[name] = value end
  local told, process = editor.run(text, options)
  assert.equal(0, process.status, process.output)
  return told, process
end

local fish = { FISH_API_KEY = "sandbox" }

local function contains(text, part)
  assert.truthy(text:find(part, 1, true), ("'%s' is not in: %s"):format(part, text))
end

local function lacks(text, part) assert.is_nil(text:find(part, 1, true), ("'%s' is in: %s"):format(part, text)) end

local function texts(notes)
  local list = {}
  for i, note in ipairs(notes or {}) do list[i] = note[1] end
  return list
end

describe("starting Neovim", function()
  it("loads the command and nothing behind it", function()
    local told = run([[local t = ...
      t.told.command = vim.fn.exists ":VoiceCredits"
      t.told.loaded = vim.tbl_filter(function(name) return name:find "voicecredits" end, vim.tbl_keys(package.loaded))
      t.told.loaded[1] = t.told.loaded[1] or "none"]], all_keys)
    assert.equal(2, told.command)
    assert.same({ "none" }, told.loaded)
  end)

  it("with the modules required does not load the C module", function()
    local told = run([[local t = ...
      require "voicecredits" require "voicecredits.nvim"
      t.told.core = package.loaded["voicecredits.core"] ~= nil]], all_keys)
    assert.is_false(told.core)
  end)

  it("with a status line asks for nothing before it has started", function()
    local told = run([[local t = ...
      t.told.early = EARLY
      t.wait(function() return require "voicecredits.nvim".statusline() ~= "" end)
      t.told.text = require "voicecredits.nvim".statusline()]], fish, {
      early = [[EARLY = { text = require "voicecredits.nvim".statusline() }
        local ticks, timer = 0, vim.loop.new_timer()
        timer:start(2, 2, vim.schedule_wrap(function() ticks = ticks + 1 end))
        vim.wait(5000, function() return ticks == 10 end, 1)
        timer:close()
        EARLY.state = require "voicecredits.nvim.client".inspect().state]],
    })
    assert.same({ text = "", state = "absent" }, told.early)
    assert.equal("fish $12.34", told.text)
  end)

  it("heeds vim.g.loaded_voicecredits", function()
    local told = run([[local t = ... t.told.command = vim.fn.exists ":VoiceCredits"]], nil,
      { before = "vim.g.loaded_voicecredits = 1" })
    assert.equal(0, told.command)
  end)

  it("with the option 'watch' announces without a status line", function()
    local told = run([[local t = ... t.wait(function() return #t.notes > 0 end)]], { FISH_API_KEY = "sandbox-empty" },
      { before = "vim.g.voicecredits = { watch = true }" })
    assert.same({ "fish: 0 USD left, below 1" }, texts(told.notes))
  end)

  it("knows the providers, variables and options that the C module knows", function()
    local told = run([[local t = ...
      local config, ledger = require "voicecredits.nvim.config", require "voicecredits.nvim.ledger"
      t.told.names, t.told.known = config.providers, {}
      t.told.variables, t.told.known_variables, t.told.units = {}, {}, {}
      for i, provider in ipairs(require "voicecredits".providers()) do
        t.told.known[i], t.told.known_variables[i] = provider.name, provider.key_variable
        t.told.variables[i] = ledger.key_variable(provider.name)
        local entry = { provider = provider.name, account = "default" }
        if config.limit(entry) ~= config.get().low[provider.unit] then error(provider.name) end
        local names = { "api_key", "account", "base_url", "timeout", "connect_timeout", "retries", "proxy", "ca_file",
          "ca_path" }
        vim.list_extend(names, require "voicecredits.core".own_options(provider.name))
        for _, name in ipairs(names) do
          local wrong = config.wrong_check(provider.name, { [name] = vim.NIL })
          assert(wrong:find "must be a", name .. ": " .. wrong)
        end
      end]])
    assert.same(told.known, told.names)
    assert.same(told.known_variables, told.variables)
  end)
end)

describe(":VoiceCredits", function()
  it("opens a window with the table, whose rows come as answers do", function()
    local env = {}
    for name, value in pairs(all_keys) do env[name] = value end
    env.BREEZE_API_KEY = "sandbox-slow"
    local told = run([[local t = ...
      vim.cmd "VoiceCredits"
      t.told.first = t.lines()
      t.wait(function() return t.shows "asking 1 of 5" end)
      t.told.middle = t.lines()
      t.wait(function() return t.shows "r asks again" end)
      t.told.last = t.lines()
      t.told.floats = #t.floats()
      t.told.filetype = vim.bo.filetype
      t.told.modifiable = vim.bo.modifiable]], env)
    assert.equal("supertone  asking: no answer yet", told.first[2])
    assert.equal(8, #told.first)
    contains(table.concat(told.middle, "\n"), "fish       12.340000  USD")
    contains(table.concat(told.middle, "\n"), "breeze     asking: no answer yet")
    assert.equal("ACCOUNT      BALANCE  UNIT     DETAIL", told.last[1])
    assert.equal("supertone        123  credits", told.last[2])
    assert.equal("breeze           0.5  credits  1 top-up (2026-04-02)", told.last[6])
    assert.same({ 1, "voicecredits", false }, { told.floats, told.filetype, told.modifiable })
  end)

  it("asks again with r, in the same window, and goes with q", function()
    local told = run([[local t = ...
      vim.cmd "VoiceCredits"
      t.wait(function() return t.shows "12.340000" end)
      local win = t.floats()[1]
      vim.env.FISH_API_KEY = "sandbox-empty"
      t.type "r"
      t.told.meanwhile = t.shows "12.340000"
      t.wait(function() return not t.shows "12.340000" and t.shows "r asks again" end)
      t.told.again = t.lines()
      t.told.same = t.floats()[1] == win and #t.floats() == 1
      vim.cmd "VoiceCredits"
      t.told.still = t.floats()[1] == win and #t.floats() == 1
      t.type "q"
      t.told.left = #t.floats()
      local function is_ours(b) return vim.bo[b].filetype == "voicecredits" end
      t.told.buffers = #vim.tbl_filter(is_ours, vim.api.nvim_list_bufs())]], fish)
    assert.is_true(told.meanwhile and told.same and told.still)
    assert.equal("fish           0  USD", told.again[2])
    assert.same({ 0, 0 }, { told.left, told.buffers })
  end)

  it("with names asks these accounts only", function()
    local told = run([[local t = ...
      local asked = t.count_checks()
      vim.cmd "VoiceCredits fish suno fish"
      t.wait(function() return t.shows "r asks again" end)
      t.told.lines, t.told.asked = t.lines(), #asked]], all_keys)
    assert.equal(2, told.asked)
    contains(told.lines[2], "fish")
    contains(told.lines[3], "suno")
    assert.equal(5, #told.lines)
  end)

  it("refuses a wrong name, naming the nearest", function()
    local told = run([[local t = ...
      vim.cmd "VoiceCredits fsh" vim.cmd "VoiceCredits fish/studio"
      t.told.floats = #t.floats()]], fish)
    assert.equal(0, told.floats)
    assert.same({
      "voicecredits: unknown provider 'fsh', the nearest is 'fish'",
      "voicecredits: fish has no account of this name: see the option 'accounts'",
    }, texts(told.notes))
  end)

  it("completes names, those of accounts too", function()
    local told = run([[local t = ...
      t.told.all = vim.fn.getcompletion("VoiceCredits ", "cmdline")
      t.told.some = vim.fn.getcompletion("VoiceCredits su", "cmdline")
      require "voicecredits.nvim".setup { accounts = { "suno", { provider = "fish", account = "studio" } } }
      t.told.accounts = vim.fn.getcompletion("VoiceCredits fi", "cmdline")]])
    assert.same({ "supertone", "suno", "fish", "srtgen", "breeze" }, told.all)
    assert.same({ "supertone", "suno" }, told.some)
    assert.same({ "fish", "fish/studio" }, told.accounts)
  end)

  it("without any key says which variables to set", function()
    local told = run([[local t = ... vim.cmd "VoiceCredits" t.told.text = table.concat(t.lines(), "\n")]])
    for name in pairs(all_keys) do
      if name:find "_API_KEY$" then contains(told.text, name) end
    end
  end)

  it("keeps the last good balance, dated, and shows why there is no newer one", function()
    local told = run([[local t = ...
      require "voicecredits.nvim".setup { accounts = { { provider = "fish", retries = 0 } } }
      vim.cmd "VoiceCredits"
      t.wait(function() return t.shows "12.340000" end)
      vim.env.FISH_API_KEY = "sandbox-down"
      t.type "r"
      t.wait(function() return t.shows "then unavailable" end)
      t.told.lines = t.lines()
      t.told.text = require "voicecredits.nvim".statusline()
      t.told.date, t.told.time = os.date "%Y-%m-%d", os.date "%H:%M"]], fish)
    contains(told.lines[2], "12.340000")
    assert.truthy(told.lines[4]:find "^fish: as of %d%d%d%d%-%d%d%-%d%d %d%d:%d%d, then unavailable: ", told.lines[4])
    assert.truthy(told.text:find "^fish ~%$12%.34 %(%d%d:%d%d%)$", told.text)
  end)

  it("fits a small screen, and a changed one", function()
    local told = run([[local t = ...
      vim.o.columns, vim.o.lines = 40, 8
      vim.cmd "VoiceCredits"
      t.wait(function() return t.shows "r asks again" end)
      local small = vim.api.nvim_win_get_config(t.floats()[1])
      vim.o.columns, vim.o.lines = 160, 40
      vim.cmd "doautocmd VimResized"
      local large = vim.api.nvim_win_get_config(t.floats()[1])
      t.told.small, t.told.large = { small.width, small.height }, { large.width, large.height }]], all_keys)
    assert.is_true(told.small[1] <= 38 and told.small[2] <= 6)
    assert.is_true(told.large[1] > told.small[1] and told.large[2] == 8)
  end)
end)

describe("the status line", function()
  it("is empty before the first answers, and then has all accounts", function()
    local told = run([[local t = ...
      local nvim = require "voicecredits.nvim"
      t.told.before = nvim.statusline()
      t.wait(function() return nvim.statusline():find "breeze" and nvim.statusline():find "srtgen" end)
      t.wait(function() return select(2, nvim.statusline():gsub("  ", "")) == 4 end)
      t.told.after = nvim.statusline()]], all_keys)
    assert.equal("", told.before)
    assert.equal("supertone 123 cr  suno 100 cr  fish $12.34  srtgen 1,250 cr  breeze 0.5 cr!", told.after)
  end)

  it("says unknown, and why there is no balance; no key is shown anywhere", function()
    local told = run([[local t = ...
      local nvim = require "voicecredits.nvim"
      nvim.setup { timeout = 5 }
      nvim.statusline()
      t.wait(function() return select(2, nvim.statusline():gsub("  ", "")) == 2 end)
      vim.cmd "VoiceCredits"
      t.wait(function() return t.shows "r asks again" end)
      t.told.text = nvim.statusline()
      t.told.window = table.concat(t.lines(), "\n")
      t.told.messages = vim.fn.execute "messages"]],
      { SUPERTONE_API_KEY = "sandbox-null", FISH_API_KEY = "sandbox-denied", SRTGEN_API_KEY = "sandbox-secret" })
    assert.equal("supertone unknown  fish (authentication)  srtgen (authentication)", told.text)
    for _, shown in ipairs { told.text, told.window, told.messages } do lacks(shown, "sandbox-") end
    assert.is_nil(told.notes)
  end)

  it("shows no person's data", function()
    local told = run([[local t = ...
      vim.cmd "VoiceCredits"
      t.wait(function() return t.shows "1,250" end)
      t.told.text = table.concat(t.lines(), "\n") .. require "voicecredits.nvim".statusline()]],
      { SRTGEN_API_KEY = "sandbox" })
    lacks(told.text, "@")
  end)

  it("is refreshed once per interval, whoever reads it however often", function()
    local told = run([[local t = ...
      local nvim, asked = require "voicecredits.nvim", t.count_checks()
      nvim.setup { interval = 0.05 }
      t.wait(function() nvim.statusline() return #asked >= 5 end)
      t.told.gap = math.huge
      for i = 2, #asked do t.told.gap = math.min(t.told.gap, asked[i] - asked[i - 1]) end
      nvim.setup { interval = 1000 }
      local count = asked.answered
      t.wait(function() return asked.answered == #asked and #asked > count end)
      count = #asked
      local ticks = t.ticks(5)
      t.wait(function()
        nvim.statusline()
        vim.cmd "doautocmd FocusLost" vim.cmd "doautocmd FocusGained"
        return ticks.count > 20
      end)
      t.told.more = #asked - count]], fish)
    assert.is_true(told.gap >= 0.05 - 0.001, tostring(told.gap)) -- the editor's loop counts whole milliseconds
    assert.equal(0, told.more)
  end)

  it("is not refreshed while Neovim has no focus", function()
    local told = run([[local t = ...
      local nvim, asked = require "voicecredits.nvim", t.count_checks()
      nvim.setup { interval = 0.02 }
      nvim.statusline()
      t.wait(function() return #asked >= 3 end)
      vim.cmd "doautocmd FocusLost"
      local count, ticks = #asked, t.ticks(20)
      t.wait(function() return ticks.count >= 10 end)
      t.told.unfocused = #asked - count
      vim.cmd "doautocmd FocusGained"
      t.wait(function() return #asked >= count + 3 end, "refreshing again")]], fish)
    assert.equal(0, told.unfocused)
  end)

  it("takes the options 'separator' and 'format', and survives a wrong one", function()
    local told = run([[local t = ...
      local nvim = require "voicecredits.nvim"
      local function text(options)
        options.accounts = { "fish", "suno" }
        nvim.setup(options)
        nvim.statusline()
        t.wait(function() return nvim.statusline():find "fish.*suno" end)
        return nvim.statusline()
      end
      t.told.separated = text { separator = " | " }
      t.told.formatted = text { format = function(s) return s.name .. "=" .. s.balance.exact end }
      t.told.broken = text { format = function() error "oh" end }]],
      { FISH_API_KEY = "sandbox", SUNO_API_KEY = "sandbox" })
    assert.equal("fish $12.34 | suno 100 cr", told.separated)
    assert.equal("fish=12.340000  suno=100", told.formatted)
    assert.equal("fish $12.34  suno 100 cr", told.broken)
    assert.equal(1, #told.notes)
    contains(told.notes[1][1], "option 'format'")
  end)

  it("is lualine's component, with percent signs doubled", function()
    local told = run([[local t = ...
      local component = require "lualine.components.voicecredits"
      require "voicecredits.nvim".setup { format = function() return "50%" end }
      t.wait(function() return component() ~= "" end)
      t.told.text = component()]], fish)
    assert.equal("50%%", told.text)
  end)
end)

describe("a low balance", function()
  it("is announced once per crossing, and once on recovery; unknown and down are neither", function()
    local told = run([[local t = ...
      local nvim, asked = require "voicecredits.nvim", t.count_checks()
      nvim.setup { interval = 0.02, accounts = { { provider = "fish", retries = 0 } } }
      nvim.watch()
      t.told.counts = {}
      for _, key in ipairs { "sandbox", "sandbox-empty", "sandbox-null", "sandbox-down", "sandbox-empty", "sandbox",
        "sandbox-down", "sandbox", "sandbox-empty" } do
        vim.env.FISH_API_KEY = key
        local count = asked.answered
        t.wait(function() return asked.answered >= count + 4 end)
        table.insert(t.told.counts, #t.notes)
      end
      t.told.levels = { vim.log.levels.WARN, vim.log.levels.INFO, vim.log.levels.WARN }]])
    assert.same({ 0, 1, 1, 1, 1, 2, 2, 2, 3 }, told.counts)
    assert.same({ "fish: 0 USD left, below 1", "fish: 12.340000 USD left again", "fish: 0 USD left, below 1" },
      texts(told.notes))
    for i, note in ipairs(told.notes) do assert.equal(told.levels[i], note[2]) end
  end)

  it("is what the option 'low' says, by account, provider or unit; false is never", function()
    local told = run([[local t = ...
      local config = require "voicecredits.nvim.config"
      local studio, own = { provider = "fish", account = "studio" }, { provider = "fish", account = "default" }
      require "voicecredits.nvim".setup { low = { fish = 7, ["fish/studio"] = 9, suno = false } }
      t.told.limits = { config.limit(studio, "USD"), config.limit(own, "USD"),
        config.limit({ provider = "breeze", account = "default" }, "credits") }
      t.told.suno = config.limit({ provider = "suno", account = "default" }, "credits") == nil
      require "voicecredits.nvim".setup { low = false }
      t.told.never = config.limit(own, "USD") == nil
      require "voicecredits.nvim".setup { low = 3 }
      t.told.plain = config.limit(own, "USD")]])
    assert.same({ 9, 7, 100 }, told.limits)
    assert.is_true(told.suno and told.never)
    assert.equal(3, told.plain)
  end)
end)

describe("options", function()
  it("of setup go before those of vim.g, which go before the defaults", function()
    local told = run([[local t = ...
      local config = require "voicecredits.nvim.config"
      t.told.global = config.get().interval
      t.told.low = config.get().low
      require "voicecredits.nvim".setup { interval = 5 }
      t.told.both = { config.get().interval, config.get().timeout }
      local given = { low = { fish = 2 }, accounts = { { provider = "fish" } } }
      require "voicecredits.nvim".setup(given)
      given.low.fish, given.accounts[1].provider = 99, "suno"
      t.told.kept = { config.get().low.fish, config.get().accounts[1].provider, config.get().interval }
      require "voicecredits.nvim".setup()
      t.told.again = config.get().low]], nil,
      { before = "vim.g.voicecredits = { interval = 60, timeout = 3, low = { USD = 4 } }" })
    assert.equal(60, told.global)
    assert.same({ credits = 100, USD = 4 }, told.low)
    assert.same({ 5, 3 }, told.both)
    assert.same({ 2, "fish", 60 }, told.kept)
    assert.same({ credits = 100, USD = 4 }, told.again)
  end)

  it("that are wrong are refused where setup is called, and change nothing", function()
    local told = run([[local t = ...
      local nvim, config = require "voicecredits.nvim", require "voicecredits.nvim.config"
      nvim.setup { interval = 7 }
      t.told.problems = {}
      for i, options in ipairs {
        { intervall = 5 }, { interval = "5" }, { interval = 0 }, { accounts = { "fihs" } },
        { accounts = { { provider = "fish", apikey = "k" } } },
        { accounts = { { provider = "suno", user_id = "me" } } },
        { low = { fsh = 1 } }, { low = { fish = "1" } }, { watch = 1 }, { border = 1 }, { format = "x" },
        { accounts = { a = 1 } },
        "nothing", { ["a key of a long sort, in the wrong place"] = 1 },
      } do
        local ok, problem = pcall(nvim.setup, options)
        assert(not ok, i)
        t.told.problems[i] = problem
      end
      t.told.interval = config.get().interval]])
    local setup = "voicecredits.nvim setup: "
    local expected = {
      "unknown option 'intervall', the nearest is 'interval'", "option 'interval' must be a number, found string",
      "option 'interval' must be more than 0 and at most 1e6 seconds",
      "option 'accounts', account 1: unknown provider 'fihs', the nearest is 'fish'",
      "option 'accounts', account 1: unknown fish option 'apikey', the nearest is 'api_key'",
      "option 'accounts', account 1: unknown suno option 'user_id', the nearest is ",
      "unknown name in option 'low': 'fsh', the nearest is 'fish'",
      "option 'low', 'fish' must be a number or false, found string",
      "option 'watch' must be a boolean, found number", "option 'border' must be a string or a table, found number",
      "option 'format' must be a function, found string", "option 'accounts' must be a list",
      "must be a table, found string", "unknown option of 40 characters, the nearest is ",
    }
    for i, text in ipairs(expected) do
      contains(told.problems[i], text)
      contains(told.problems[i], "setup")
    end
    contains(told.problems[1], setup)
    assert.equal(7, told.interval)
  end)

  it("of vim.g that are wrong are told once, and passed over", function()
    local told = run([[local t = ...
      local config = require "voicecredits.nvim.config"
      t.told.interval = config.get().interval
      config.get()
      vim.cmd "checkhealth voicecredits"
      t.told.health = table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), "\n")]], nil,
      { before = "vim.g.voicecredits = { interwal = 60, timeout = 3 }" })
    assert.equal(300, told.interval)
    local wrong = "vim.g.voicecredits: unknown option 'interwal', the nearest is 'interval'"
    assert.same({ "voicecredits: " .. wrong .. " (its options are passed over)" }, texts(told.notes))
    contains(told.health, "ERROR: " .. wrong)
  end)
end)

describe("check, for authors of plugins,", function()
  it("calls back once, later, where the editor's functions may be used", function()
    local told = run([[local t = ...
      local nvim = require "voicecredits.nvim"
      local calls = 0
      nvim.check("fish", function(balance, failure)
        calls = calls + 1
        vim.api.nvim_set_var("remaining", balance.remaining)
        t.told.failure = failure ~= nil
      end)
      t.told.at_once = calls
      t.wait(function() return calls > 0 end)
      t.settle()
      t.told.calls, t.told.remaining = calls, vim.g.remaining
      t.told.pending = require "voicecredits.nvim.client".inspect().pending]], fish)
    assert.same({ 0, 1, 12.34, false, 0 }, { told.at_once, told.calls, told.remaining, told.failure, told.pending })
  end)

  it("may be called from a callback of the loop", function()
    local told = run([[local t = ...
      local nvim, fast = require "voicecredits.nvim", nil
      local timer = (vim.uv or vim.loop).new_timer()
      timer:start(0, 0, function()
        fast = vim.in_fast_event()
        nvim.check("fish", { timeout = 5 }, function(balance) t.told.remaining = balance.remaining end)
      end)
      t.wait(function() return t.told.remaining end)
      t.told.fast = fast]], fish)
    assert.is_true(told.fast)
    assert.equal(12.34, told.remaining)
  end)

  it("refuses what is wrong at once, or tells it as a failure", function()
    local told = run([[local t = ...
      local nvim = require "voicecredits.nvim"
      t.told.raised = {}
      for i, arguments in ipairs { { "fsh", nil, print }, { "fish", { apikey = "k" }, print }, { "fish", {} },
        { "fish", { timeout = "1" }, print }, { "fish", 5, print } } do
        local ok, problem = pcall(nvim.check, unpack(arguments, 1, 3))
        assert(not ok, i)
        t.told.raised[i] = problem
      end
      local failures = {}
      local function note(_, failure) failures[#failures + 1] = failure end
      nvim.check("fish", { timeout = -1 }, note)
      t.wait(function() return #failures == 1 end)
      nvim.check("fish", { api_key = "a\nb" }, note)
      t.wait(function() return #failures == 2 end)
      t.told.failures = { tostring(failures[1]), tostring(failures[2]) }]])
    for i, text in ipairs { "the nearest is 'fish'", "the nearest is 'api_key'",
      "a callback function expected, found nil",
      "option 'timeout' must be a number, found string", "a table of options expected, found number" } do
      contains(told.raised[i], text)
    end
    contains(told.failures[1], "fish/default: configuration: option 'timeout' must be more than 0 seconds")
    contains(told.failures[2], "fish/default: configuration: ")
  end)

  it("can be cancelled, before and after it was handed over", function()
    local told = run([[local t = ...
      local nvim, kinds = require "voicecredits.nvim", {}
      local function note(_, failure) kinds[#kinds + 1] = failure.kind end
      local early = nvim.check("fish", { base_url = HANG }, note)
      early()
      t.wait(function() return #kinds == 1 end)
      local late = nvim.check("fish", { base_url = HANG }, note)
      t.wait(function() return require "voicecredits.nvim.client".inspect().pending == 1 end)
      late()
      t.wait(function() return #kinds == 2 end)
      late()
      t.told.kinds = kinds]], fish, { before = ("HANG = %q"):format(raw:url "hang") })
    assert.same({ "cancelled", "cancelled" }, told.kinds)
  end)

  it("survives an error in another's callback", function()
    local told = run([[local t = ...
      local nvim = require "voicecredits.nvim"
      for i = 1, 4 do
        nvim.check("fish", { account = "a" .. i }, function(balance)
          t.told[balance.account] = true
          if i % 2 == 1 then vim.schedule(function() t.told.reached = true end) error "a mistake of the caller's" end
        end)
      end
      t.wait(function() return t.told.a1 and t.told.a2 and t.told.a3 and t.told.a4 end)]], fish)
    assert.is_true(told.a4)
  end)
end)

describe("while five checks run, of which one hangs and one is refused,", function()
  it("the editor goes on", function()
    local told = run([[local t = ...
      local nvim, answers, ticks = require "voicecredits.nvim", {}, t.ticks(1)
      local function ask(name, options)
        nvim.check("fish", options, function(balance, failure)
          answers[#answers + 1] = name
          t.told[name] = { kind = failure and failure.kind or "balance", ticks = ticks.count }
        end)
      end
      t.told.start = ticks.count
      ask("hangs", { base_url = HANG, timeout = 0.5 })
      ask("refused", { base_url = "http://127.0.0.1:1", retries = 0 })
      ask("first", {}) ask("second", {}) ask("third", {})
      t.told.submitted = ticks.count
      t.wait(function() return #answers == 5 end)
      t.told.last = answers[#answers] ]], fish, { before = ("HANG = %q"):format(raw:url "hang") })
    assert.equal(told.start, told.submitted)
    assert.equal("hangs", told.last)
    for name, kind in pairs { hangs = "timeout", refused = "network", first = "balance", third = "balance" } do
      assert.equal(kind, told[name].kind)
    end
    -- Half a second of waiting, in which a blocked loop would not have ticked at all.
    assert.is_true(told.hangs.ticks - told.start >= 50, tostring(told.hangs.ticks))
  end)
end)

describe("leaving Neovim", function()
  local hanging = [[local t = ...
    t.quit = %q
    local nvim = require "voicecredits.nvim"
    nvim.watch()
    for i = 1, 5 do nvim.check("fish", { base_url = HANG, timeout = 60 }, function() t.told.called = true end) end
    if %s then t.wait(function() return require "voicecredits.nvim.client".inspect().pending >= 5 end) end]]

  local function leaves(quit, submitted)
    local started = os.time()
    local _, process = run(hanging:format(quit, submitted), fish, { before = ("HANG = %q"):format(raw:url "hang") })
    assert.equal("", process.output)
    assert.is_true(os.time() - started < 30) -- the checks would take a minute
  end

  it("while checks hang is quick and clean", function() leaves("qa!", "true") end)
  it("while the C module is being loaded is quick and clean", function()
    for _ = 1, 5 do leaves("qa!", "false") end
  end)
  it("without its events is clean too", function() leaves("noautocmd qa!", "true") end)
  it("with an exit status of the user's keeps that", function()
    local ok, problem = pcall(leaves, "3cquit", "true")
    assert.is_false(ok)
    contains(tostring(problem), "3")
  end)

  it("while a window waits is clean", function()
    local _, process = run([[local t = ...
      vim.cmd "VoiceCredits"
      t.wait(function() return require "voicecredits.nvim.client".inspect().pending == 1 end)]],
      { FISH_API_KEY = "sandbox", FISH_BASE_URL = raw:url "hang" })
    assert.equal("", process.output)
  end)
end)

describe(":checkhealth voicecredits", function()
  local health = [[local t = ...
    vim.cmd "checkhealth voicecredits"
    t.told.text = table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), "\n")]]

  it("tells what is there, and of variables nothing but their names", function()
    local text = run(health, { FISH_API_KEY = "sandbox-secret", FISH_BASE_URL = "http://user:word@127.0.0.1:1" }).text
    for _, part in ipairs { "OK: C module ", "core.so", "libcurl/", "OK: JSON decoder: lua-cjson",
      "OK: FISH_API_KEY is set",
      "INFO: SUNO_API_KEY is not set", "FISH_BASE_URL is set", "OK: options are valid" } do
      contains(text, part)
    end
    for _, part in ipairs { "sandbox-secret", "word", "ERROR" } do lacks(text, part) end
  end)

  it("without a key says which to set", function() contains(run(health).text, "WARNING: no key was found") end)

  it("speaks through each of the names that the report functions have had", function()
    for _, names in ipairs { "%s", "report_%s" } do
      local told = run(([[local t = ...
        t.told.said = {}
        vim.health = {}
        for _, name in ipairs { "start", "ok", "info", "warn", "error" } do
          vim.health[("%s"):format(name)] = function(text) table.insert(t.told.said, name .. " " .. text) end
        end
        require "voicecredits.health".check()]]):format(names), fish)
      contains(table.concat(told.said, "\n"), "ok FISH_API_KEY is set")
    end
  end)

  it("and a check say in one line what to do without the C module", function()
    local bare = editor.without_module()
    finally(bare.remove)
    local told = run(health .. [[
      require "voicecredits.nvim".check("fish", function(_, failure) t.told.failure = tostring(failure) end)
      t.wait(function() return t.told.failure end)
      vim.cmd "VoiceCredits fish"
      t.wait(function() return t.shows "make nvim" end)
      t.told.lines = t.lines()]], fish, { folder = bare })
    assert.truthy(told.text:find "ERROR: [^\n]*C module[^\n]*was not found for LuaJIT: run 'make nvim' in ", told.text)
    contains(told.failure, "run 'make nvim' in ")
    lacks(told.failure, "\n")
    contains(told.lines[2], "configuration: ")
  end)

  it("and a check work with Neovim's own decoder where there is no lua-cjson", function()
    local told = run(health .. [[
      assert(not pcall(require, "cjson"))
      require "voicecredits.nvim".check("fish", function(balance, failure)
        t.told.answer = tostring(balance or failure)
      end)
      t.wait(function() return t.told.answer end)]], { FISH_API_KEY = "sandbox", LUA_CPATH = "/nowhere/?.so" })
    contains(told.text, "OK: JSON decoder: Neovim's own, vim.json")
    contains(told.answer, "12.340000 USD")
  end)

  it("says what to install where there is no decoder at all", function()
    local told = run([[vim.json = nil ]] .. health .. " vim.json = JSON", fish, {
      before = [[JSON = vim.json package.preload.cjson = function() error "module 'cjson' not found" end]],
    })
    assert.truthy(told.text:find "ERROR: [^\n]*lua%-cjson[^\n]*", told.text)
    contains(told.text, "Install the Debian package lua-cjson")
  end)
end)

describe("the documents", function()
  local function read(path)
    local file = assert(io.open(path))
    local text = file:read "*a"
    file:close()
    return text
  end

  it("of Neovim's own kind have tags, and describe every option and function", function()
    local told = run([[local t = ...
      local doc = vim.env.HOME .. "/doc"
      vim.fn.mkdir(doc, "p")
      local ours = vim.fn.readfile(vim.api.nvim_get_runtime_file("doc/voicecredits.txt", false)[1])
      vim.fn.writefile(ours, doc .. "/voicecredits.txt")
      vim.cmd("helptags " .. doc)
      t.told.tags = vim.fn.readfile(doc .. "/tags")
      t.told.functions = vim.tbl_keys(require "voicecredits.nvim")]])
    local tags = table.concat(told.tags, "\n")
    for _, tag in ipairs { ":VoiceCredits", "voicecredits.txt", "voicecredits-install", "voicecredits-options" } do
      contains(tags, tag .. "\t")
    end
    local text = read "doc/voicecredits.txt"
    for name in read "lua/voicecredits/nvim/config.lua":gmatch "%-%-%-@field (%l+)%?" do
      contains(text, "*voicecredits-" .. name .. "*")
    end
    for _, name in ipairs(told.functions) do
      if name ~= "complete" then contains(text, "*voicecredits.nvim." .. name .. "()*") end
    end
    for line in text:gmatch "[^\n]+" do assert.is_true(#line <= 78, line) end
  end)

  it("have an example that works", function()
    local told = run([[local t = ...
      t.wait(function() return vim.api.nvim_eval_statusline(vim.o.statusline, {}).str:find "12.34" end)
      t.told.line = vim.api.nvim_eval_statusline(vim.o.statusline, {}).str
      t.type "<Space>vc"
      t.wait(function() return t.shows "12.340000" end)]], fish, { init = "examples/neovim/init.lua" })
    contains(told.line, "fish $12.34")
  end)
end)

describe("make nvim", function()
  it("puts the C module where Neovim finds it", function()
    local bare = editor.folder { module = false }
    finally(bare.remove)
    assert(os.execute(("cp -r Makefile src lua plugin doc %s"):format(bare.runtime)))
    assert(os.execute(("rm -f %s/lua/voicecredits/core.so && mkdir -p %s/build && cp -r build/jit %s/build/"):format(
      bare.runtime, bare.runtime, bare.runtime)))
    assert(os.execute(("env -u LUA_VERSION -u MAKEFLAGS -u MAKELEVEL make --silent -C %s nvim"):format(bare.runtime)))
    bare.alone = true
    local told = run([[local t = ...
      require "voicecredits.nvim".check("fish", function(balance) t.told.answer = tostring(balance) end)
      t.wait(function() return t.told.answer end)
      t.told.path = require "voicecredits.nvim.client".path()]], fish, { folder = bare })
    contains(told.answer, "12.340000")
    contains(told.path, bare.runtime)
  end)
end)
