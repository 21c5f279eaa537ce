local cq=require"cqueues" local t0=cq.monotime()
local function lap(n) local t=cq.monotime() print(n,("%.2f s  cpu %.2f"):format(t-t0,os.clock())) t0=t end
local faulty=require"spec.support.faulty" local faults=require"spec.faults" lap"load"
local place=faulty.open() lap"open"
local v=require"voicecredits"
local p,c,q=faulty.run(place.told,function(r) return not r.environment end) lap("run "..c.." "..q)
for k,x in pairs(p) do print(k,x[1]) end
place:close() lap"close"
