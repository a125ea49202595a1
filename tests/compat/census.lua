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

-- What a service has received may live in the arena until the service collects its garbage.
local function collect(address)
	skynet.send(address, "debug", "GC")
	skynet.call(address, "debug", "PING")
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
	collectgarbage()
	collectgarbage()
	now.blocks = memory.block()
	return now
end

local function same(a, b)
	for what, n in pairs(a) do
		if b[what] ~= n then return false end
	end
	return true
end

--- The counts when two in a row are the same: nothing is under way any more.
local function settled()
	local last = census.take()
	return try.until_true(function()
		local now = census.take()
		if same(last, now) then return now end
		last = now
	end, "the node comes to rest")
end

--- Runs f(round) for some rounds to warm up, then for many: afterwards nothing may have grown, and no service,
--- descriptor or task may be missing either.
function census.steady(rounds, f)
	for round = 1, 5 do f(round) end
	local before = settled()
	for round = 1, rounds do f(round) end
	local after = settled()
	for what, n in pairs(before) do
		if after[what] > n or (what ~= "blocks" and after[what] ~= n) then
			error(("%s: %d before, %d after %d rounds"):format(what, n, after[what], rounds), 2)
		end
	end
end

return census
