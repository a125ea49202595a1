-- drain: a full mailbox empties at the same rate whether a thousand or a million messages wait in it; afterwards the
-- process is as small as before.
--   fulmar exec benches/lua/drain.lua
local skynet = require "skynet"
require "skynet.manager"

local mode = ...

if mode == "sink" then
	local n, first, want, resp = 0, nil, nil, nil
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, cmd, x)
			if cmd == "fill" then
				-- holds this service until x messages wait behind this one
				want, resp, n = x, skynet.response(), 0
				while skynet.mqlen() < x do end
				first = skynet.hpc()
			else
				n = n + 1
				if n == want then resp(true, skynet.hpc() - first) end
			end
		end)
	end)
	return
end

local function rss()
	local f = assert(io.open "/proc/self/status")
	local text = f:read "a"
	f:close()
	return tonumber(text:match "VmRSS:%s+(%d+)")
end

-- Nanoseconds that `sink` takes for n messages that wait.
local function drain(sink, n)
	local took
	local done = coroutine.running()
	skynet.fork(function()
		took = skynet.call(sink, "lua", "fill", n)
		skynet.wakeup(done)
	end)
	skynet.yield()
	for i = 1, n do
		skynet.send(sink, "lua", "message", i)
		if i % 1000 == 0 then skynet.yield() end
	end
	skynet.wait(done)
	return took
end

skynet.start(function()
	local sink = skynet.newservice(SERVICE_NAME, "sink")
	drain(sink, 1000)
	local before = rss()
	local small, big = {}, {}
	for round = 1, 5 do
		local sum = 0
		for _ = 1, 100 do sum = sum + drain(sink, 1000) end
		small[round] = sum / 100 / 1000
		big[round] = drain(sink, 1000000) / 1000000
		print(("round %d: 1,000 waiting %.0f ns each, 1,000,000 waiting %.0f ns each"):format(round, small[round], big[round]))
	end
	table.sort(small)
	table.sort(big)
	print(("rate of a million : rate of a thousand = %.2f (medians)"):format(small[3] / big[3]))
	skynet.sleep(200)
	collectgarbage()
	print(("memory before %.1f MiB, after %.1f MiB, ratio %.2f"):format(before / 1024, rss() / 1024, rss() / before))
	skynet.abort()
end)
