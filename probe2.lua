package.path="./lua/?.lua;./lua/?/init.lua;./?.lua;./?/init.lua;"..package.path
local v=require"voicecredits" local s=require"spec.support.server"
local sv=s.raw_server{tls=true}
local g='{"balance":7}'
local function R(h,b) return "HTTP/1.1 200 OK\r\n"..h.."\r\n"..(b or g) end
local L="Content-Length: 13\r\n"
local function go(label,url,o)
  local all={api_key="kkkk",base_url=url,retries=0,timeout=0.5,ca_file=sv.ca_file} for k,x in pairs(o or {}) do all[k]=x end
  local b,f=v.supertone(all)
  print(label,"=>",b or f, b and b.elapsed or ((f.status or "-").." "..tostring(f.retryable).." "..f.elapsed))
end
local T={ {"good",R(L)},{"close nolen",R("Connection: close\r\n"),{close=1}},{"end_tls nolen",R("Connection: close\r\n"),{end_tls=1}},
{"close early",R("Content-Length: 99\r\n"),{close=1}},{"end_tls early",R("Content-Length: 99\r\n"),{end_tls=1}},
{"reset",R("Content-Length: 99\r\n"),{reset=1}},{"reset0","",{reset=1}},{"empty close","",{close=1}},{"empty end","",{end_tls=1}},
{"half head","HTTP/1.1 200 OK\r\nContent-Le",{close=1}},{"half head end","HTTP/1.1 200 OK\r\nContent-Le",{end_tls=1}},{"half status","HTTP/1.1 2",{close=1}},{"half status H","HT",{close=1}},{"half status end","HTTP/1.1 2",{end_tls=1}},{"after head","HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n",{close=1}},
{"after head nolen","HTTP/1.1 200 OK\r\n\r\n",{close=1}},
{"chunk early",R("Transfer-Encoding: chunked\r\n","d\r\n"..g.."\r\n"),{close=1}},{"chunk early end",R("Transfer-Encoding: chunked\r\n","d\r\n"..g.."\r\n"),{end_tls=1}},
{"chunk bad hex",R("Transfer-Encoding: chunked\r\n","zz\r\n"..g.."\r\n0\r\n\r\n")},
{"1xx close","HTTP/1.1 103 E\r\n\r\n",{close=1}}, {"two",R(L)..R(L,'{"balance":6}')}, {"good again",R(L)},
{"1 MiB+1", R("Content-Length: 1048577\r\n",("x"):rep(1048577))},
{"1MiB1 chunk", R("Transfer-Encoding: chunked\r\n",("%x\r\n%s\r\n"):format(1048577,("x"):rep(1048577)).."0\r\n\r\n")},
{"endless",R("Connection: close\r\n",("x"):rep(1000)),{["repeat"]=200000,close=1}},
}
for i,t in ipairs(T) do sv:set("t"..i,t[2],t[3]) go("http  "..t[1],sv:url("t"..i)) go("https "..t[1],sv:tls_url("t"..i)) end
go("good",sv:tls_url("t1"))
for k in pairs(sv.tls_ports) do go(k,sv:tls_url("t1",k)) end
sv:set("silent","",{blunt=1}) go("silent",sv:tls_url"silent") go("silent ct",sv:tls_url"silent",{timeout=2,connect_timeout=.3})
sv:set("plain","HTTP/1.1 400 Bad\r\n\r\n",{blunt=1}) go("plain",sv:tls_url"plain")
sv:set("alert","\21\3\3\0\2\2\40",{blunt=1,close=1}) go("alert",sv:tls_url"alert")
sv:set("bclose","",{blunt=1,close=1}) go("blunt close",sv:tls_url"bclose") go("blunt close http",sv:url"bclose")
for _,n in ipairs{1,5,50,127,200,500,800} do sv:set("cut"..n,"",{cut=n}) go("cut"..n,sv:tls_url("cut"..n)) sv:set("cutc"..n,"",{cut=n,close=1}) go("cutclose"..n,sv:tls_url("cutc"..n)) end
go("http to tls port",(sv:tls_url("t1"):gsub("https","http")))
go("https to http port",(sv:url("t1"):gsub("http","https")))
go("nx","https://nowhere.invalid") go("nxlabel","https://"..("a"):rep(64)..".invalid") go("refused","https://127.0.0.1:1")
go("no ca file",sv:tls_url("t1"),{ca_file="/nowhere/ca.pem"}) 
print(sv:errors())
sv:stop()
