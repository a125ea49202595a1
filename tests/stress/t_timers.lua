-- Many timers: each fires once, none before its time.
local skynet = require "skynet"
local memory = require "skynet.memory"
local try = require "try"

local SCALE = tonumber(os.getenv "SCALE")
local N = 100000 * SCALE

try.limit(5500)
try.main(function()
	math.randomseed(2026)

	try.case("each once, none early", function()
		local fired, early, twice = 0, 0, 0
		local seen = {}
		local before = memory.block()
		for i = 1, N do
			local delay = math.random(0, 200)
			-- n centiseconds are at least n - 1 whole ones
			local due = skynet.now() + delay - 1
			skynet.timeout(delay, function()
				fired = fired + 1
				if skynet.now() < due then early = early + 1 end
				if seen[i] then twice = twice + 1 end
				seen[i] = true
			end)
		end
		try.until_true(function() return fired == N end, "all have fired")
		skynet.sleep(5)
		try.equal(fired, N)
		try.equal(early, 0)
		try.equal(twice, 0)
		try.until_true(function() return memory.block() <= before + 20 end, "the blocks come back")
	end)

	try.case("those of one tick in the order they were armed", function()
		local last, wrong, left = {}, 0, 0
		for i = 1, N // 10 do
			local delay = math.random(1, 20)
			left = left + 1
			local at = skynet.now()
			skynet.timeout(delay, function()
				left = left - 1
				local key = at + delay
				if last[key] and last[key].delay == delay and last[key].i > i then wrong = wrong + 1 end
				last[key] = { i = i, delay = delay }
			end)
		end
		try.until_true(function() return left == 0 end)
		try.equal(wrong, 0)
	end)

	try.case("sleepers woken before their time", function()
		local woken, slept = 0, 0
		local tokens = {}
		for i = 1, 5000 do
			tokens[i] = {}
			skynet.fork(function()
				if skynet.sleep(i % 3 == 0 and 5 or 100000, tokens[i]) == "BREAK" then woken = woken + 1 else slept = slept + 1 end
			end)
		end
		skynet.yield()
		for i = 1, 5000 do
			if i % 3 ~= 0 then skynet.wakeup(tokens[i]) end
		end
		try.until_true(function() return woken + slept == 5000 end)
		try.equal(woken, 5000 - 5000 // 3)
	end)
end)
