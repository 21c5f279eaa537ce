std = "max"
max_line_length = 130
files["spec"] = { std = "max+busted", max_line_length = 160 }
files["lua/voicecredits/types.lua"] = { ignore = { "212", "241" } }
files["lua/voicecredits/openresty.lua"] = { globals = { "ngx" } }
for _, path in ipairs { "lua/voicecredits/nvim.lua", "lua/voicecredits/nvim", "lua/voicecredits/health.lua", "lua/lualine", "plugin",
  "spec/support/nvim", "examples/neovim", "bench/hosts/neovim.lua" } do
  files[path] = { globals = { "vim" } }
end
