-- latency: how long messages are under way, drawn: pairs of services that call each other, all at the same time.
--   fulmar exec examples/latency/latency.lua [PAIRS] [CALLS]
local skynet = require "skynet"
require "skynet.manager"

local role, calls = ...

if role == "partner" then
	skynet.start(function()
		skynet.dispatch("lua", function()
			skynet.ret()
		end)
	end)
	return
end

local STEPS <const> = 2	-- steps of the histogram until a time has doubled

-- Calls its partner again and again; answers how many round trips took how long: step -> count.
if role == "caller" then
	skynet.start(function()
		local partner = skynet.newservice(SERVICE_NAME, "partner")
		skynet.dispatch("lua", function()
			local counts = {}
			for _ = 1, tonumber(calls) do
				local start = skynet.hpc()
				skynet.call(partner, "lua")
				local step = math.log(skynet.hpc() - start, 2) * STEPS // 1 | 0
				counts[step] = (counts[step] or 0) + 1
			end
			skynet.retpack(counts)
		end)
	end)
	return
end

local pairs_asked = tonumber(role) or 10
calls = tonumber(calls) or 100000

local function micros(step)
	return 2 ^ (step / STEPS) / 1e3
end

local function draw(counts)
	local first, last, most, total = math.maxinteger, 0, 0, 0
	for step, count in pairs(counts) do
		first, last = math.min(first, step), math.max(last, step)
		most, total = math.max(most, count), total + count
	end
	local wanted, seen = { 0.5, 0.9, 0.99, 0.999 }, 0
	for step = first, last do
		local count = counts[step] or 0
		print(("  up to %9.2f us  %9d  %s"):format(micros(step + 1), count, ("#"):rep(math.ceil(50 * count / most))))
		seen = seen + count
		while wanted[1] and seen >= wanted[1] * total do
			print(("  ---- %g %% ----"):format(table.remove(wanted, 1) * 100))
		end
	end
	return total
end

skynet.start(function()
	local callers = {}
	for i = 1, pairs_asked do
		callers[i] = skynet.newservice(SERVICE_NAME, "caller", calls)
	end
	local start, counts = skynet.hpc(), {}
	local requests = skynet.request()
	for _, caller in ipairs(callers) do
		requests:add { caller, "lua" }
	end
	for _, answer in requests:select() do
		for step, count in pairs(answer[1]) do
			counts[step] = (counts[step] or 0) + count
		end
	end
	local seconds = (skynet.hpc() - start) / 1e9
	print(("round trips of %d pairs of services on %s threads"):format(pairs_asked, skynet.getenv "thread"))
	local total = draw(counts)
	print(("%d calls in %.2f s: %.0f a second"):format(total, seconds, total / seconds))
	skynet.abort()
end)
