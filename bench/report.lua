--- The tables, as Markdown.

local files = require "spec.support.files"

local report = {}

local lines_of = files.lines_of

local function first_line(command) return lines_of(command .. " 2>/dev/null")[1] or "?" end

local function row(cells) print("| " .. table.concat(cells, " | ") .. " |") end

-- The first cells of a line are words, the others numbers.
local function heading(cells, words)
  row(cells)
  local marks = {}
  for i = 1, #cells do marks[i] = i <= words and "---" or "--:" end
  row(marks)
end

-- The label of a case: f2 is the second table of (f).
local function label(id) return ("(%s)"):format(id:sub(1, 1)) end

--- The machine, and what was measured on it.
function report.machine(runs, authorities)
  local memory = tonumber(files.peek "/proc/meminfo":match "MemTotal:%s*(%d+)")
  print(("%s, %s cores, %.0f GiB; %s; Linux %s; %s; nginx %s, one worker"):format(
    first_line "sed -n 's/^model name[^:]*: //p' /proc/cpuinfo", first_line "nproc", memory / 1024 ^ 2,
    first_line "sed -n 's/^PRETTY_NAME=\"\\(.*\\)\"/\\1/p' /etc/os-release", first_line "uname -r",
    first_line "curl-config --version", first_line "nginx -v 2>&1 | sed 's|.*/||'"))
  print(("%s; medians of %d runs; %d certificates of authorities; load %s at the beginning"):format(
    os.date "!%Y-%m-%d", runs, authorities, files.peek "/proc/loadavg":match "^%S+"))
end

-- ---- a case ----

local function ratio(value, of) return of and value and ("%.2f"):format(value / of) or "" end

local function milliseconds(seconds)
  local ms = seconds * 1e3
  return (ms < 10 and "%.1f" or "%.0f"):format(ms)
end

local function figure_cells(case, result)
  local cells = {}
  for _, figure in ipairs { case.figure, case.figure2 } do
    local value = result[figure.name]
    cells[#cells + 1] = value and ("%.1f"):format(value * figure.scale) or ""
  end
  return cells
end

local function entry_row(case, entry, result, bare)
  local cells = { entry.title .. (result.scaled and " *" or "") }
  if result.problem then
    row { cells[1], result.problem }
    return
  end
  local of = bare or {}
  for _, cell in ipairs(figure_cells(case, result)) do cells[#cells + 1] = cell end
  for _, name in ipairs { "wall", "cpu" } do
    cells[#cells + 1] = milliseconds(result[name])
    cells[#cells + 1] = ratio(result[name], of[name])
  end
  cells[#cells + 1] = ("%.1f"):format(result.peak / 1024)
  cells[#cells + 1] = ratio(result.peak, of.peak)
  row(cells)
end

--- One case: a line for each contender.
function report.case(case, entries, results)
  print(("\n#### %s %s\n"):format(label(case.id), case.title))
  local head = { "" }
  for _, figure in ipairs { case.figure, case.figure2 } do head[#head + 1] = figure.title end
  for _, title in ipairs { "wall, ms", "× bare", "CPU, ms", "× bare", "peak, MiB", "× bare" } do head[#head + 1] = title end
  heading(head, 1)
  local scaled
  for _, entry in ipairs(entries) do
    entry_row(case, entry, results[entry.key], results.bare)
    scaled = scaled or results[entry.key].scaled
  end
  if scaled then print("\n\\* measured on a part of the checks, its times multiplied") end
end

-- ---- goals ----

local function is_bad(goal, value, results, slack)
  local from = goal.base or 0
  if goal.undisturbed then value = goal.undisturbed(results) end
  if goal.control then from = math.max(from, goal.control(results)) end
  return not goal.reported and value - from > slack * goal.limit
end

--- The figures to reach. Returns those that are missed by more than `slack` times.
---@param slack number
function report.goals(goals, results, slack)
  local bad = {}
  print "\n#### The figures to reach\n"
  heading({ "case", "what", "goal", "found", "reached" }, 5)
  for _, goal in ipairs(goals) do
    local known, value = pcall(goal.value, results)
    local form, base = goal.form or "%.2f", goal.base or 0
    local top = base + goal.limit
    local reached = not known and "not measured" or value <= top and "yes" or "no"
    if results[goal.case] then
      row { label(goal.case), goal.what, "at most " .. form:format(top), known and form:format(value) or "", reached }
    end
    if known and is_bad(goal, value, results, slack) then bad[#bad + 1] = ("%s %s"):format(label(goal.case), goal.what) end
  end
  return bad
end

--- Who took part.
function report.contenders(contenders)
  print "\n#### The contenders\n"
  heading({ "contender", "version", "what it does" }, 3)
  for _, contender in ipairs(contenders) do
    local version = contender.installed and first_line(contender.version):gsub("%s+", " ") or "not installed"
    row { contender.title, version, contender.note }
  end
end

return report
