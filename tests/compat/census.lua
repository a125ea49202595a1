--- census: what a node holds, to be compared before and after: arena blocks, services, descriptors.
local skynet = require "skynet"
local memory = require "skynet.memory"
local try = require "try"

local census = {}

local function descriptors()
	local pipe = io.popen("ls -l /proc/$PPID/fd")
	local list, n = pipe:read "a", 0
	pipe:close()
	for _ in list:gmatch " %-> [^p]" do n = n + 1 end	-- but for pipes: ours is among them
	return n
end

-- What a service has sent and received may live in the arena until the service has collected its garbage a few times.
local CYCLES = 4

local function collect(address)
	for _ = 1, CYCLES do
		skynet.send(address, "debug", "GC")
		skynet.call(address, "debug", "PING")
	end
end

local function services()
	local n = 0
	collect ".launcher"
	collect ".logger"
	for address in pairs(skynet.call(".launcher", "lua", "LIST")) do
		n = n + 1
		if address ~= skynet.address(skynet.self()) then pcall(collect, address) end
	end
	return n
end

--- The counts, after garbage has gone.
function census.take()
	local now = { services = services(), descriptors = descriptors(), tasks = skynet.task() }
	for _ = 1, CYCLES do collectgarbage() end
	now.blocks = memory.block()
	return now
end

--- The lowest counts of a while: what is still under way (timers of services that have ended, lines for the log) goes.
local function settled()
	local lowest = census.take()
	for _ = 1, 8 do
		skynet.sleep(1)
		for what, n in pairs(census.take()) do lowest[what] = math.min(lowest[what], n) end
	end
	return lowest
end

--- Runs f(round) for some rounds to warm up, then for many: after a while nothing has grown, and no service, descriptor or
--- task is missing either.
function census.steady(rounds, f)
	for round = 1, 5 do f(round) end
	local before = settled()
	for round = 1, rounds do f(round) end
	local after, wrong
	local last = skynet.now() + 500
	repeat
		after, wrong = census.take(), nil
		for what, n in pairs(before) do
			if after[what] > n or (what ~= "blocks" and after[what] ~= n) then wrong = what end
		end
		if wrong then skynet.sleep(1) end
	until not wrong or skynet.now() > last
	if wrong then
		error(("%s: %d before, %d after %d rounds"):format(wrong, before[wrong], after[wrong], rounds), 2)
	end
end

return census
