-- What Neovim loads as it starts: the command, and nothing behind it.

if vim.g.loaded_voicecredits or vim.fn.has("nvim-0.7") == 0 then return end
vim.g.loaded_voicecredits = 1

vim.api.nvim_create_user_command("VoiceCredits", function(command)
  require("voicecredits.nvim").open(command.fargs)
end, {
  nargs = "*",
  complete = function(lead) return require("voicecredits.nvim").complete(lead) end,
  desc = "How many credits are left on the voice-AI accounts",
})

if type(vim.g.voicecredits) == "table" and vim.g.voicecredits.watch == true then
  local function watch()
    vim.schedule(function() require("voicecredits.nvim").watch() end)
  end
  if vim.v.vim_did_enter == 1 then
    watch()
  else
    vim.api.nvim_create_autocmd("VimEnter", { once = true, callback = watch, desc = "voicecredits: refreshing" })
  end
end
