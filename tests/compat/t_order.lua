-- The order in which coroutines of a service run.
local skynet = require "skynet"
local try = require "try"

local roles = {}
function roles.server()
	skynet.start(function() skynet.dispatch("lua", function(_, _, ...) skynet.retpack(...) end) end)
end
if try.role(roles, ...) then return end

-- runs f(note) and gives the notes as one text, after `turns` yields
local function notes(f, turns)
	local list = {}
	f(function(word) list[#list + 1] = word end)
	for _ = 1, turns or 3 do skynet.yield() end
	return table.concat(list, " ")
end

try.main(function()
	try.case("a fork runs when its maker waits, not before; forks run in their order", function()
		try.equal(notes(function(note)
			skynet.fork(note, "a")
			skynet.fork(note, "b")
			note "first"
		end), "first a b")
	end)

	try.case("forks made by forks join the same turn; a timeout of 0 comes in a later one", function()
		try.equal(notes(function(note)
			skynet.timeout(0, function() note "timer" end)
			skynet.fork(function()
				note "outer"
				skynet.fork(note, "inner")
			end)
			skynet.fork(note, "second")
		end), "outer second inner timer")
	end)

	try.case("what is woken runs before what is forked", function()
		try.equal(notes(function(note)
			skynet.fork(function()
				skynet.wait "order 1"
				note "woken"
			end)
			skynet.yield()
			skynet.fork(note, "forked")
			skynet.wakeup "order 1"
			note "now"
		end), "now woken forked")
	end)

	try.case("the woken run in the order of their wakeup", function()
		try.equal(notes(function(note)
			for _, name in ipairs { "a", "b", "c" } do
				skynet.fork(function()
					skynet.wait("order " .. name)
					note(name)
				end)
			end
			skynet.yield()
			for _, name in ipairs { "c", "a", "b" } do skynet.wakeup("order " .. name) end
		end), "c a b")
	end)

	try.case("a yield is behind everything that is queued already", function()
		try.equal(notes(function(note)
			skynet.timeout(0, function() note "queued before" end)
			skynet.fork(function()
				skynet.yield()
				note "after the yield"
			end)
		end), "queued before after the yield")
	end)

	try.case("timers of one tick keep the order they were armed in", function()
		local order = {}
		for i = 1, 50 do skynet.timeout(3, function() order[#order + 1] = i end) end
		try.until_true(function() return #order == 50 end)
		for i = 1, 50 do try.equal(order[i], i) end
	end)

	try.case("sleep gives nothing at its end and BREAK when woken", function()
		try.equal(select("#", skynet.sleep(1)), 0)
		local token = {}
		skynet.fork(skynet.wakeup, token)
		try.equal(skynet.sleep(1000, token), "BREAK")
		try.equal(skynet.wakeup(token), nil)
		skynet.fork(skynet.wakeup, token)
		try.equal(select("#", skynet.wait(token)), 0)
	end)

	try.case("waking twice is harmless", function()
		local token = {}
		local results = {}
		skynet.fork(function() results[#results + 1] = skynet.sleep(1000, token) end)
		skynet.yield()
		try.equal(skynet.wakeup(token), true)
		skynet.wakeup(token)
		skynet.yield()
		try.equal(#results, 1)
		try.equal(results[1], "BREAK")
	end)

	try.case("a fork keeps nils among its arguments", function()
		local got
		skynet.fork(function(...) got = table.pack(...) end, nil, 2, nil)
		skynet.yield()
		try.equal(got.n, 3)
		try.equal(got[2], 2)
	end)

	try.case("an error in one coroutine leaves the others of its turn alone", function()
		local log = try.log()
		try.equal(notes(function(note)
			skynet.fork(function() error "the first fork fails" end)
			skynet.fork(note, "second")
			skynet.fork(function() error "the third fork fails" end)
			skynet.fork(note, "fourth")
		end), "second fourth")
		log.wait "the first fork fails"
		log.wait "the third fork fails"
	end)

	try.case("messages of one sender keep their order among types", function()
		local s = try.start "server"
		local order = {}
		for i = 1, 40 do
			skynet.fork(function()
				if i % 2 == 0 then skynet.call(s, "lua", i) else skynet.call(s, "debug", "PING") end
				order[#order + 1] = i
			end)
		end
		try.until_true(function() return #order == 40 end)
		for i = 1, 40 do try.equal(order[i], i) end
	end)

	try.case("sessions count up and are positive; a negative or zero time is the next turn", function()
		local a, b = skynet.genid(), skynet.genid()
		try.yes(a > 0 and b > a)
		local done = 0
		for _, ti in ipairs { 0, -1, -100000 } do skynet.timeout(ti, function() done = done + 1 end) end
		skynet.yield()
		try.equal(done, 3)
	end)
end)
