-- :checkhealth voicecredits. Variables are told by name: their values are keys, or addresses that may hold a password.

local client = require "voicecredits.nvim.client"
local config = require "voicecredits.nvim.config"
local ledger = require "voicecredits.nvim.ledger"

local health = {}

-- The functions have had three names: health.report_ok (Neovim 0.7), vim.health.report_ok (0.8, 0.9), vim.health.ok.
local function reporter()
  local new = vim.health
  if not new then new = require "health" end
  local report = {}
  for _, name in ipairs { "start", "ok", "info", "warn", "error" } do
    report[name] = new[name] or new["report_" .. name]
  end
  return report
end

-- libcurl's own words about itself, through the C module that is linked with it. Only LuaJIT can ask.
local function libcurl_version(path)
  local has_ffi, ffi = pcall(require, "ffi")
  if not has_ffi or not path then return nil end
  local ok, text = pcall(function()
    ffi.cdef "const char *curl_version(void);"
    return ffi.string(ffi.load(path).curl_version())
  end)
  return ok and text or nil
end

local function check_libcurl(report)
  local text = libcurl_version(client.path())
  if not text then return report.info("libcurl is linked; its version cannot be read from here") end
  local major, minor = text:match("libcurl/(%d+)%.(%d+)")
  if major and tonumber(major) * 1000 + tonumber(minor) < 7087 then
    report.warn(text, { "Use 7.87 or newer: before, a name server that hangs holds a check longer than its timeout" })
  else
    report.ok(text)
  end
end

local function check_decoder(report)
  if pcall(require, "cjson") then
    report.ok("JSON decoder: lua-cjson")
  elseif vim.json and vim.json.decode then
    report.ok("JSON decoder: Neovim's own, vim.json")
  else
    report.error("no JSON decoder: neither lua-cjson nor vim.json",
      { "Install the Debian package lua-cjson, or 'luarocks --lua-version 5.1 install lua-cjson'" })
  end
end

local function check_module(report)
  local lua = rawget(_G, "jit") and jit.version or _VERSION
  local voicecredits, problem = client.module()
  if not voicecredits then
    report.error(problem, { "This Neovim runs " .. lua .. "; ':help voicecredits-install' tells what is needed" })
    return
  end
  report.ok(("C module %s for %s: %s"):format(voicecredits._VERSION, lua, client.path() or "statically linked"))
  check_libcurl(report)
end

local function check_accounts(report)
  local configured = config.get().accounts
  if configured then report.info(("%d accounts in the option 'accounts'"):format(#configured)) end
  local found = false
  for _, provider in ipairs(config.providers) do
    local variable = ledger.key_variable(provider)
    local is_set = (os.getenv(variable) or "") ~= ""
    found = found or is_set
    if is_set then
      report.ok(variable .. " is set")
    else
      report.info(variable .. " is not set")
    end
    local base = provider:upper() .. "_BASE_URL"
    if (os.getenv(base) or "") ~= "" then report.info(base .. " is set: that address is asked") end
  end
  if not found and not configured then
    report.warn("no key was found", { "Set one of these variables before Neovim starts, or the option 'accounts'" })
  end
end

local function check_options(report)
  local wrong = config.wrong_global()
  if wrong then
    report.error(wrong, { ":help voicecredits-options" })
  else
    report.ok("options are valid")
  end
end

function health.check()
  local report = reporter()
  report.start("voicecredits: C module")
  if vim.fn.has("nvim-0.7") == 0 then report.error("Neovim 0.7 or newer is needed") end
  check_module(report)
  check_decoder(report)
  report.start("voicecredits: accounts")
  check_accounts(report)
  report.start("voicecredits: options")
  check_options(report)
end

return health
