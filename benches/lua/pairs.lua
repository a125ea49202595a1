-- pairs: independent pairs of services that call each other; run it with one pair on one worker and with two on two.
--   fulmar exec --threads 1 benches/lua/pairs.lua 1 && fulmar exec --threads 2 benches/lua/pairs.lua 2
local skynet = require "skynet"
require "skynet.manager"

local mode, target = ...

if mode == "echo" then
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, ...) skynet.retpack(...) end)
	end)
	return
elseif mode == "caller" then
	target = tonumber(target)
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, n)
			for _ = 1, n do skynet.call(target, "lua", 1, "hello") end
			skynet.retpack(true)
		end)
	end)
	return
end

local count = tonumber(mode) or 2

skynet.start(function()
	local callers = {}
	for i = 1, count do
		callers[i] = skynet.newservice(SERVICE_NAME, "caller", skynet.newservice(SERVICE_NAME, "echo"))
	end
	local best = {}
	for round = 1, 7 do
		local n, start = 300000, skynet.hpc()
		local reqs = skynet.request()
		for i = 1, count do reqs:add { callers[i], "lua", n } end
		for _ in reqs:select() do end
		best[round] = n * count * 1e9 / (skynet.hpc() - start)
	end
	table.sort(best)
	print(("%d pairs: %.0f calls per second (median)"):format(count, best[4]))
	skynet.abort()
end)
