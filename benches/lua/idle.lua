-- idle: what a call between two services costs while a hundred thousand others are idle.
--   fulmar exec benches/lua/idle.lua [services]
local skynet = require "skynet"
require "skynet.manager"

local mode = ...

if mode == "idle" then
	skynet.start(function() end)
	return
elseif mode == "echo" then
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, ...) skynet.retpack(...) end)
	end)
	return
end

local services = tonumber(mode) or 100000

local function median_call(echo)
	collectgarbage()	-- what starting the others has left in this service is not their price
	local rounds = {}
	for round = 1, 11 do
		local n, start = 50000, skynet.hpc()
		for _ = 1, n do skynet.call(echo, "lua", 1, "hello") end
		rounds[round] = (skynet.hpc() - start) / n
	end
	table.sort(rounds)
	return rounds[6], rounds[1]
end

skynet.start(function()
	local echo = skynet.newservice(SERVICE_NAME, "echo")
	median_call(echo)
	local alone, alone_best = median_call(echo)
	for i = 1, services do
		skynet.newservice(SERVICE_NAME, "idle")
		if i % 10000 == 0 then print(("%d services"):format(i)) end
	end
	skynet.sleep(100)
	local among, among_best = median_call(echo)
	print(("call alone %.0f ns, among %d idle services %.0f ns, ratio %.3f"):format(alone, services, among, among / alone))
	print(("best rounds: %.0f ns and %.0f ns, ratio %.3f"):format(alone_best, among_best, among_best / alone_best))
	skynet.abort()
end)
