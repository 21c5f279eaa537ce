--- What every helper process does: tell its port, serve, and end when its parent does.
--
-- The parent holds the other end of standard input. However the parent ends, that pipe reaches its end too, so that
-- no helper outlives the tests that started it.

local cqueues = require "cqueues"

local lifeline = {}

--- Prints what the parent waits for (the port last) and serves until standard input reaches its end.
function lifeline.serve(port, loop, lines)
  for _, line in ipairs(lines or {}) do io.stdout:write(line, "\n") end
  io.stdout:write("PORT ", ("%d"):format(port), "\n")
  io.stdout:flush()
  loop:wrap(function()
    local stdin = { pollfd = 0, events = "r" }
    repeat cqueues.poll(stdin) until not io.stdin:read(1)
    os.exit(0)
  end)
  while true do
    local ok, message = loop:step()
    if not ok then io.stderr:write(tostring(message), "\n") end
  end
end

return lifeline
