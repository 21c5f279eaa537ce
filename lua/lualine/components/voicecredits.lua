-- The component `voicecredits` of lualine.nvim: sections = { lualine_x = { "voicecredits" } }.

return function()
  -- lualine's text is read as a 'statusline', in which a percent sign has a meaning.
  return (require("voicecredits.nvim").statusline():gsub("%%", "%%%%"))
end
