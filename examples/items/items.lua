-- items: a game's item table, read by a thousand services and changed under them. Draws what that costs.
--   fulmar exec examples/items/items.lua [SERVICES] [ROWS]
local skynet = require "skynet"
require "skynet.manager"
local sharedata = require "skynet.sharedata"

local services, rows = ...

-- A player's service: looks items up, and says how long an update took to reach it.
if services == "player" then
	local items
	skynet.start(function()
		items = sharedata.query "items"
		sharedata.listen("items", function()
			local sent = items.update and items.update.at
			if sent then
				skynet.send(tonumber(rows), "lua", "seen", skynet.hpc() - sent)
			end
		end)
		skynet.dispatch("lua", function(_, _, first, last)
			local sum = 0
			for id = first, last do
				sum = sum + items["item" .. id].price
			end
			skynet.retpack(sum)
		end)
	end)
	return
end

services, rows = tonumber(services) or 1000, tonumber(rows) or 50000
local UPDATES <const> = 10

local function resident_mib()
	local f = io.open "/proc/self/status"
	if not f then
		return 0	-- another system: nothing to draw
	end
	local text = f:read "a"
	f:close()
	return tonumber(text:match "VmRSS:%s*(%d+)") / 1024
end

local function bar(value, most)
	return ("#"):rep(math.ceil(40 * value / math.max(most, 1e-9)))
end

local function draw_memory(steps)
	local most = 0
	for _, step in ipairs(steps) do
		most = math.max(most, step.mib)
	end
	print "\nresident memory"
	for _, step in ipairs(steps) do
		print(("  %-34s %8.1f MiB  %s"):format(step.what, step.mib, bar(step.mib, most)))
	end
end

-- How many services had an update after so many milliseconds, in steps that double.
local function draw_latency(times)
	table.sort(times)
	local counts, most, last = {}, 0, 0
	for _, ns in ipairs(times) do
		local step = math.max(0, math.ceil(math.log(ns / 1e6, 2)))
		counts[step] = (counts[step] or 0) + 1
		most, last = math.max(most, counts[step]), math.max(last, step)
	end
	print(("\nfrom a patch to the services that read it, %d of them, %d patches"):format(services, UPDATES))
	for step = 0, last do
		local count = counts[step] or 0
		print(("  up to %5d ms  %7d  %s"):format(1 << step, count, bar(count, most)))
	end
	print(("  median %.1f ms, last %.1f ms"):format(times[(#times + 1) // 2] / 1e6, times[#times] / 1e6))
end

local function item(id)
	return { id = id, name = "item-" .. id, price = id * 1.5, tags = { "a", "b", id }, on = id % 2 == 0 }
end

skynet.start(function()
	local steps, times = {}, {}
	local function measure(what)
		collectgarbage()
		steps[#steps + 1] = { what = what, mib = resident_mib() }
	end
	skynet.dispatch("lua", function(_, _, _, ns)
		times[#times + 1] = ns
	end)

	measure "an empty node"
	do
		local items = { update = {} }
		for id = 1, rows do
			items["item" .. id] = item(id)
		end
		local start = skynet.hpc()
		sharedata.new("items", items)
		print(("%d rows built and published in %.0f ms"):format(rows, (skynet.hpc() - start) / 1e6))
	end
	measure(("%d rows"):format(rows))

	local players = {}
	for i = 1, services do
		players[i] = skynet.newservice(SERVICE_NAME, "player", skynet.self())
	end
	measure(("%d services that hold them"):format(services))

	local start, reads = skynet.hpc(), 100
	for i, player in ipairs(players) do
		local first = i * 7919 % (rows - reads) + 1
		skynet.call(player, "lua", first, first + reads - 1)
	end
	print(("%d services read %d rows each: %.2f us a row"):format(services, reads,
		(skynet.hpc() - start) / services / reads / 1e3))
	measure(("each has read %d rows"):format(reads))

	for n = 1, UPDATES do
		sharedata.patch("items", "update", { n = n, at = skynet.hpc() })
		local last = skynet.now() + 1000
		while #times < n * services do
			if skynet.now() > last then
				error(("only %d of %d services have update %d"):format(#times - (n - 1) * services, services, n))
			end
			skynet.sleep(1)
		end
	end
	measure(("after %d updates"):format(UPDATES))

	draw_memory(steps)
	draw_latency(times)
	skynet.abort()
end)
