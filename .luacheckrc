std = "max"
max_line_length = 130
files["spec"] = { std = "max+busted", max_line_length = 160 }
files["lua/voicecredits/types.lua"] = { ignore = { "212", "241" } }
