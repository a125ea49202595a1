-- replay/main: several services that call each other, wait, fork and time out; each notes what it does in the log, so that
-- the log is the order of everything.
local skynet = require "skynet"
require "skynet.manager"

local role, number = ...

if role == "worker" then
	local turns = 0
	skynet.start(function()
		skynet.dispatch("lua", function(_, source, n)
			turns = turns + 1
			skynet.error(("worker %s, turn %d: %d from %s"):format(number, turns, n, skynet.address(source)))
			if n % 3 == 0 then skynet.sleep(n) end
			if n % 5 == 0 then skynet.yield() end
			skynet.retpack(n)
		end)
	end)
	return
end

skynet.start(function()
	local workers = {}
	for i = 1, 4 do workers[i] = skynet.newservice(SERVICE_NAME, "worker", i) end
	local total, running = 0, 0
	for i = 1, 4 do
		running = running + 1
		skynet.fork(function()
			for n = 1, 8 do
				for k = 0, 1 do
					local back = skynet.call(workers[(i + n + k) % 4 + 1], "lua", n)
					total = total + back
				end
			end
			total = total + 18
			skynet.error("client " .. i .. " is done")
			running = running - 1
		end)
	end
	while running > 0 do skynet.sleep(1) end
	local before = skynet.now()
	skynet.sleep(540000)
	skynet.error("slept " .. skynet.now() - before)
	skynet.error("total " .. total)
	skynet.error "the last line"
	skynet.abort()
end)
