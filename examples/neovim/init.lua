-- A small init.lua for Neovim that shows the balances in the status line and opens their table with <Space>vc.
--
-- With a plugin manager (here lazy.nvim) the plugin is installed by
--
--   { "voicecredits/voicecredits", build = "make nvim" }
--
-- and the keys are read from the environment: FISH_API_KEY and its like.

vim.g.mapleader = " "

-- All of it is optional.
require("voicecredits.nvim").setup {
  interval = 600, -- seconds between two refreshes
  low = { credits = 200, USD = 2 }, -- announced once when a balance falls below, and once when it is back
}

vim.o.laststatus = 2
vim.o.statusline = "%f %m%=%{v:lua.require'voicecredits.nvim'.statusline()}  %l:%c"

vim.keymap.set("n", "<Leader>vc", "<Cmd>VoiceCredits<CR>", { desc = "Voice credits" })

-- The same for one's own purposes: a warning before a long recording, without waiting for the answer.
vim.api.nvim_create_user_command("Record", function()
  require("voicecredits.nvim").check("fish", { timeout = 5 }, function(balance, failure)
    if failure then
      vim.notify(tostring(failure), vim.log.levels.WARN)
    elseif balance.remaining and balance.remaining < 5 then
      vim.notify("Not enough for an hour: " .. tostring(balance), vim.log.levels.WARN)
    end
  end)
end, { desc = "Ask for the balance before recording" })
