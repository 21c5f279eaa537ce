rockspec_format = "3.0"
package = "voicecredits"
version = "scm-1"

source = {
  url = "git+https://github.com/voicecredits/voicecredits.git",
}

description = {
  summary = "How many credits are left on your voice-AI accounts",
  detailed = [[
    Asks Supertone, Suno (sunoapi.org), Fish Audio, SRTGen and Breeze Blue for the remaining balance: all accounts at once,
    without blocking the host. A C module over libcurl and lua-cjson.
  ]],
  homepage = "https://github.com/voicecredits/voicecredits",
  license = "MIT",
  labels = { "http", "async", "audio" },
}

supported_platforms = { "unix" }

dependencies = {
  "lua >= 5.1, < 5.6",
  "lua-cjson >= 2.1.0",
  "argparse >= 0.7.0",
  "luaterm",
}

-- By header only: the library's file name differs from system to system, the linker finds it. On Linux not even that: Debian
-- keeps the header in a folder named after the architecture, where the compiler looks and LuaRocks does not.
external_dependencies = {
  platforms = {
    linux = { CURL = {} },
    bsd = { CURL = { header = "curl/curl.h" } },
    macosx = { CURL = { header = "curl/curl.h" } },
    solaris = { CURL = { header = "curl/curl.h" } },
  },
}

test_dependencies = {
  "busted >= 2.1",
  "http >= 0.4",
}

build = {
  type = "builtin",
  modules = {
    ["voicecredits"] = "lua/voicecredits/init.lua",
    ["voicecredits.accounts"] = "lua/voicecredits/accounts.lua",
    ["voicecredits.arguments"] = "lua/voicecredits/arguments.lua",
    ["voicecredits.cli"] = "lua/voicecredits/cli.lua",
    ["voicecredits.health"] = "lua/voicecredits/health.lua",
    ["voicecredits.nvim"] = "lua/voicecredits/nvim.lua",
    ["voicecredits.nvim.client"] = "lua/voicecredits/nvim/client.lua",
    ["voicecredits.nvim.config"] = "lua/voicecredits/nvim/config.lua",
    ["voicecredits.nvim.ledger"] = "lua/voicecredits/nvim/ledger.lua",
    ["voicecredits.nvim.status"] = "lua/voicecredits/nvim/status.lua",
    ["voicecredits.nvim.window"] = "lua/voicecredits/nvim/window.lua",
    ["voicecredits.openresty"] = "lua/voicecredits/openresty.lua",
    ["voicecredits.report"] = "lua/voicecredits/report.lua",
    ["voicecredits.sandbox"] = "lua/voicecredits/sandbox.lua",
    ["voicecredits.wait"] = "lua/voicecredits/wait.lua",
    ["voicecredits.types"] = "lua/voicecredits/types.lua",
    ["voicecredits.core"] = {
      sources = {
        "src/answer.c", "src/balance.c", "src/check.c", "src/dates.c", "src/exchange.c", "src/failure.c", "src/handle.c",
        "src/json.c",
        "src/options.c", "src/provider.c", "src/reading.c", "src/request.c", "src/response.c", "src/retry.c",
        "src/schedule.c", "src/session.c", "src/text.c", "src/transport.c", "src/trust.c", "src/voicecredits.c",
        "src/providers/breeze.c", "src/providers/fish.c", "src/providers/srtgen.c", "src/providers/suno.c",
        "src/providers/supertone.c",
      },
      libraries = { "curl", "pthread", "m" },
      incdirs = { "$(CURL_INCDIR)" },
      libdirs = { "$(CURL_LIBDIR)" },
    },
  },
  platforms = {
    linux = { modules = { ["voicecredits.core"] = { libraries = { "curl", "pthread", "m", "dl" } } } },
    macosx = { modules = { ["voicecredits.core"] = { libraries = { "curl" } } } },
  },
  install = {
    bin = { "bin/voicecredits" },
  },
  copy_directories = { "doc" },
}
