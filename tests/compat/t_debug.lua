-- The debug protocol, skynet.inject, figures about a service.
local skynet = require "skynet"
local core = require "skynet.core"
local try = require "try"

local roles = {}

function roles.server()
	local state = { count = 3 }
	local told = {}
	skynet.info_func(function(...) return { "info", ... } end)
	skynet.register_protocol { name = "spare", id = 130, pack = skynet.pack, unpack = skynet.unpack }
	skynet.start(function()
		skynet.dispatch("spare", function() told[#told + 1] = state.count end)
		skynet.dispatch("lua", function(_, _, cmd, ...)
			if cmd == "count" then
				state.count = state.count + 1
				skynet.retpack(state.count)
			elseif cmd == "stat" then
				skynet.retpack(skynet.stat(...))
			elseif cmd == "mqlen" then
				skynet.retpack(skynet.mqlen(), skynet.stat "mqlen", core.intcommand("STAT", "mqlen"))
			elseif cmd == "work" then
				local x = 0
				for i = 1, 20000000 do x = x + i % 7 end
				skynet.retpack(skynet.stat "time", skynet.stat "cpu")
			else
				skynet.retpack(cmd, ...)
			end
		end)
	end)
end

if try.role(roles, ...) then return end

try.main(function()
	local s = try.start "server"

	try.case("MEM, GC, STAT, PING, SUPPORT", function()
		try.equal(math.type(skynet.call(s, "debug", "MEM")), "float")
		local log = try.log()
		skynet.send(s, "debug", "GC")
		try.matches(log.wait "GC ", "GC [%d.]+ Kb %-> [%d.]+ Kb, cost [%d.e-]+ sec")
		local stat = skynet.call(s, "debug", "STAT")
		try.equal(stat.mqlen, 0)
		try.equal(stat.task, 0)
		try.yes(stat.message > 2)
		try.equal(type(stat.cpu), "number")
		try.equal(select("#", skynet.call(s, "debug", "PING")), 0)
		try.equal(skynet.call(s, "debug", "SUPPORT", "lua"), true)
		try.equal(skynet.call(s, "debug", "SUPPORT", "spare"), true)
		try.equal(skynet.call(s, "debug", "SUPPORT", "no such protocol"), false)
	end)

	try.case("an unknown command fails and is named in the log", function()
		local log = try.log()
		try.raises("call failed", skynet.call, s, "debug", "NO_SUCH_COMMAND")
		log.wait "NO_SUCH_COMMAND"
	end)

	try.case("INFO", function()
		local info = skynet.call(s, "debug", "INFO", 1, "x")
		try.equal(info[1], "info")
		try.equal(info[3], "x")
	end)

	try.case("TASK and UNIQTASK", function()
		local result = try.later(skynet.call, s, "debug", "LINK")
		skynet.yield()
		local tasks = skynet.call(s, "debug", "TASK")
		for key, trace in pairs(tasks) do
			try.matches(key, "^thread: 0x%x+ session: %d+$")
			try.contains(trace, "stack traceback:")
		end
		try.equal(skynet.call(s, "debug", "TASK", 0x7ffffff0), "No session")
		try.equal(type(skynet.call(s, "debug", "UNIQTASK")), "table")
		try.equal(skynet.call(s, "debug", "TASK", "init"), nil)
		skynet.term(s)
		try.equal(result(), false)
	end)

	try.case("RUN reaches the tables behind the handlers and returns what is printed", function()
		local ok, output = skynet.call(s, "debug", "RUN", [[
			print("hello", ...)
			print(_P.lua.state.count, type(_U))
			_P.lua.state.count = 100
		]], "injected", 1, "two")
		try.equal(ok, true)
		local text = type(output) == "table" and table.concat(output, "\n") or output
		try.contains(text, "hello\t1\ttwo")
		try.matches(text, "%d+\ttable")
		try.equal(skynet.call(s, "lua", "count"), 101)
	end)

	try.case("RUN of code that does not compile or fails", function()
		local ok, output = skynet.call(s, "debug", "RUN", "this is not Lua", "injected")
		try.equal(ok, false)
		try.contains(type(output) == "table" and table.concat(output, "\n") or output, "injected")
		ok, output = skynet.call(s, "debug", "RUN", "print 'before' error 'inside'", "injected")
		try.equal(ok, false)
		local text = type(output) == "table" and table.concat(output, "\n") or output
		try.contains(text, "before")
		try.contains(text, "inside")
		try.equal(skynet.call(s, "lua", "alive"), "alive")
	end)

	try.case("skynet.inject by itself", function()
		local inject = require "skynet.inject"
		local hidden = { n = 1 }
		local function reachable() return hidden.n end
		local ok, output = inject(skynet, "print(_U.hidden.n) _U.hidden.n = 2", "chunk", { n = 0 }, reachable)
		try.equal(ok, true)
		try.equal(output[1], "1")
		try.equal(hidden.n, 2)
	end)

	try.case("TERM", function()
		local other = try.start "server"
		skynet.send(other, "debug", "TERM", skynet.self())
		try.equal(skynet.call(other, "lua", "alive"), "alive")
	end)

	try.case("STAT values", function()
		try.equal(skynet.call(s, "lua", "stat", "endless"), 0)
		try.equal(skynet.call(s, "lua", "stat", "mqlen"), 0)
		try.equal(skynet.call(s, "lua", "stat", "no such figure"), 0)
		local before = skynet.call(s, "lua", "stat", "message")
		try.equal(math.type(before), "integer")
		for _ = 1, 10 do skynet.call(s, "lua", "x") end
		try.equal(skynet.call(s, "lua", "stat", "message"), before + 11)
		local time, cpu = skynet.call(s, "lua", "work")
		try.yes(time > 0, "time spent in this dispatch")
		try.yes(skynet.call(s, "lua", "stat", "cpu") > 0, "spent by now")
		try.equal(math.type(cpu), "float")
		try.equal(skynet.endless(), false)
	end)

	try.case("mqlen counts what waits behind the current message", function()
		skynet.send(s, "lua", "work")
		for _ = 1, 5 do skynet.send(s, "lua", "x") end
		local result = try.later(skynet.call, s, "lua", "mqlen")
		for _ = 1, 3 do skynet.send(s, "lua", "x") end
		skynet.yield()
		local ok, a, b, c = result()
		try.equal(ok, true)
		try.equal(a, b)
		try.equal(a, c)
		try.equal(skynet.mqlen(), skynet.stat "mqlen")
	end)

	try.case("reg_debugcmd", function()
		require "skynet.debug".reg_debugcmd("DOUBLE", function(n) skynet.retpack(n * 2) end)
		local ok, n = try.later(skynet.call, skynet.self(), "debug", "DOUBLE", 21)()
		try.equal(ok, true)
		try.equal(n, 42)
	end)

	try.case("EXIT", function()
		local other = try.start "server"
		skynet.send(other, "debug", "EXIT")
		try.until_true(function() return not pcall(skynet.call, other, "lua", 1) end)
	end)

	try.case("time", function()
		try.equal(math.type(skynet.now()), "integer")
		try.equal(math.type(skynet.starttime()), "integer")
		try.equal(math.type(skynet.time()), "float")
		try.yes(math.abs(skynet.time() - os.time()) < 5)
		local a = skynet.hpc()
		try.equal(math.type(a), "integer")
		try.yes(skynet.hpc() >= a)
		try.equal(skynet.address(10), ":0000000a")
		try.equal(skynet.address ".name", ".name")
		try.values({ 3, true }, skynet.harbor(0x03000001))
		try.values({ 0, false }, skynet.harbor(skynet.self()))
	end)
end)
