-- Unusual arguments and moments: callable tables, protocols that inherit, a second answer, leaving from inside a coroutine.
local skynet = require "skynet"
local core = require "skynet.core"
require "skynet.manager"
local try = require "try"

local roles = {}

function roles.server()
	skynet.start(function()
		local told
		skynet.dispatch("lua", function(_, _, cmd, ...)
			if cmd == "twice" then
				local first = skynet.ret()
				told = { first, pcall(skynet.ret) }
				table.move({ skynet.context() }, 1, 2, 4, told)
			elseif cmd == "ignore" then
				skynet.ignoreret()
				told = { pcall(skynet.ret) }
			elseif cmd == "told" then
				skynet.retpack(told)
			elseif cmd == "fail to pack" then
				local answer = skynet.response(function(value) return skynet.pack(assert(value)) end)
				told = { pcall(answer, true, false) }
				answer(true, "second try")
			elseif cmd == "callable pack" then
				skynet.response(setmetatable({}, { __call = function(_, ...) return skynet.pack(...) end }))(true, ...)
			end
		end)
	end)
end

function roles.leaver(how)
	local resume = how == "skynet" and require "skynet.coroutine".wrap or nil
	skynet.start(function()
		skynet.dispatch("lua", function()
			if resume then
				resume(function() resume(skynet.exit)() end)()
			else
				table.sort({ 3, 2, 1 }, skynet.exit)
			end
			skynet.error "still running"
		end)
	end)
end

-- Writes down every message that is neither a request nor an answer.
function roles.listener()
	local seen = {}
	skynet.filter(function(mtype, msg, sz, session, source)
		if mtype == skynet.PTYPE_ERROR then seen[#seen + 1] = { source, session } end
		return mtype, msg, sz, session, source
	end, function()
		skynet.dispatch("lua", function(_, _, cmd)
			if cmd == "keep" then skynet.response() else skynet.retpack(seen) end
		end)
	end)
end

function roles.caller(whom)
	skynet.start(function()
		skynet.fork(skynet.call, tonumber(whom), "lua", "keep")
		skynet.dispatch("lua", function() skynet.exit() end)
	end)
end

-- Gives requests in text to its "lua" handler, as a string.
function roles.packer()
	skynet.info_func(function(...) return "info", ... end)
	skynet.filter(function(mtype, msg, sz, session, source)
		if mtype ~= skynet.PTYPE_TEXT then return mtype, msg, sz, session, source end
		return skynet.PTYPE_LUA, skynet.packstring("text", skynet.tostring(msg, sz)), nil, session, source
	end, function()
		skynet.dispatch("lua", function(_, _, ...) skynet.retpack(...) end)
	end)
end

-- Leaves before it listens.
function roles.quitter()
	pcall(skynet.exit)
	skynet.start(function() end)
	skynet.fork(skynet.sleep, 1)
end

function roles.slow()
	skynet.start(function() skynet.wait() end)
end

if try.role(roles, ...) then return end

local function callable(f)
	return setmetatable({}, { __call = function(_, ...) return f(...) end })
end

try.main(function()
	try.case("a second answer has no session, whether the first one was wanted or not", function()
		local s = try.start "server"
		skynet.call(s, "lua", "twice")
		local told = skynet.call(s, "lua", "told")
		try.equal(told[1], true)
		try.equal(told[2], false)
		try.contains(told[3], "No session")
		try.equal(told[4], nil)
		try.equal(told[5], skynet.self())
		skynet.send(s, "lua", "twice")
		told = skynet.call(s, "lua", "told")
		try.equal(told[1], false)
		try.equal(told[2], false)
		try.contains(told[3], "No session")
		try.equal(told[4], nil)
		try.equal(told[5], skynet.self())
		skynet.send(s, "lua", "ignore")
		told = skynet.call(s, "lua", "told")
		try.equal(told[1], false)
		try.contains(told[2], "No session")
	end)

	try.case("a response whose values cannot be packed can be tried again", function()
		local s = try.start "server"
		try.equal(skynet.call(s, "lua", "fail to pack"), "second try")
		local told = skynet.call(s, "lua", "told")
		try.equal(told[1], false)
		try.contains(told[2], "assertion failed!")
	end)

	try.case("what can be called serves as a function", function()
		local s = try.start "server"
		try.values({ 1, 2 }, skynet.call(s, "lua", "callable pack", 1, 2))
		local ran = 0
		skynet.timeout(0, callable(function() ran = ran + 1 end))
		local _ = skynet.timeout(0, callable(function() ran = ran + 10 end))
		try.until_true(function() return ran == 11 end)
	end)

	try.ours("forks can be called, too", function()
		local ran = 0
		skynet.fork(callable(function() ran = ran + 1 end))
		local _ = skynet.fork(callable(function(n) ran = ran + n end), 10)
		try.until_true(function() return ran == 11 end)
		for _, bad in ipairs { 1, "f", {} } do
			try.raises("function expected", skynet.fork, bad)
			try.raises("function expected", skynet.timeout, 0, bad)
			try.raises("function expected", skynet.response, bad)
		end
	end)

	try.case("a protocol may inherit what it does", function()
		local base = {
			pack = skynet.pack,
			unpack = skynet.unpack,
			dispatch = function(_, _, ...) skynet.retpack("inherited", ...) end,
		}
		local middle = setmetatable({}, { __index = base })
		local class = setmetatable({ name = "heir", id = 111 }, { __index = middle })
		skynet.register_protocol(class)
		try.values({ "inherited", 1, nil, n = 3 }, skynet.call(skynet.self(), "heir", 1, nil))
		middle.dispatch = function() skynet.retpack "nearer" end
		try.values({ "nearer" }, skynet.call(skynet.self(), 111))
		class.dispatch = function() skynet.retpack "own" end
		try.values({ "own" }, skynet.call(skynet.self(), "heir"))
	end)

	try.case("skynet.exit from a coroutine of skynet.coroutine ends the task, too", function()
		local s = try.start("leaver", "skynet")
		local log = try.log()
		try.raises("call failed", skynet.call, s, "lua")
		skynet.call(".launcher", "lua", "LIST")
		try.no(log.find "still running")
	end)

	try.case("skynet.exit where nothing can suspend leaves all the same", function()
		local s = try.start("leaver", "sort")
		local log = try.log()
		try.raises("call failed", skynet.call, s, "lua")
		try.contains(log.wait "error : ", "attempt to yield across a C-call boundary")
		try.raises("call to invalid address", skynet.call, s, "lua")
	end)

	try.case("who is still asked something hears that the asker has left", function()
		local listener = try.start "listener"
		local caller = try.start("caller", listener)
		try.raises("call failed", skynet.call, caller, "lua")
		local seen = try.until_true(function()
			local seen = skynet.call(listener, "lua", "seen")
			return seen[1] and seen
		end)
		try.equal(#seen, 1)
		try.equal(seen[1][1], caller)
		try.equal(seen[1][2], 0)
	end)

	try.case("arguments that are no address, no thread, no value for the environment", function()
		try.equal(pcall(skynet.kill, nil), false)
		try.equal(pcall(skynet.kill, {}), false)
		try.equal(skynet.killthread(5), nil)
		try.equal(skynet.killthread(nil), nil)
		try.equal(pcall(skynet.setenv, "edge_table", {}), false)
		try.equal(pcall(skynet.setenv, "edge_nil", nil), false)
		try.equal(skynet.getenv "edge_nil", nil)
		skynet.setenv("edge_number", 12)
		try.equal(skynet.getenv "edge_number", "12")
	end)

	try.case("a filter may give a string for the message", function()
		local s = try.start "packer"
		skynet.register_protocol { name = "text", id = skynet.PTYPE_TEXT, pack = skynet.packstring, unpack = skynet.unpack }
		skynet._proto.text.pack = function(...) return ... end
		try.values({ "text", "hello" }, skynet.call(s, "text", "hello"))
		try.values({ "text", ("x"):rep(5000) }, skynet.call(s, "text", ("x"):rep(5000)))
		try.values({ 1, nil, n = 2 }, skynet.call(s, "lua", 1, nil))
	end)

	try.case("INFO answers all that the function returns", function()
		local s = try.start "packer"
		try.values({ "info", 1, nil, n = 3 }, skynet.call(s, "debug", "INFO", 1, nil))
	end)

	try.ours("an answer of a request set that cannot be unpacked has failed", function()
		local s = try.start "packer"
		skynet.register_protocol {
			name = "picky",
			id = skynet.PTYPE_LUA + 100,
			pack = skynet.pack,
			unpack = function() error "cannot unpack this" end,
		}
		skynet._proto.picky.id = skynet.PTYPE_LUA
		local log = try.log()
		local answers = 0
		for _, answer in skynet.request { s, "picky", 1 } { s, "picky", 2 }:select() do
			try.equal(answer, false)
			answers = answers + 1
		end
		try.equal(answers, 2)
		log.wait "cannot unpack this"
	end)

	try.case("a profile that was never stopped is not in the way of another coroutine", function()
		local profile = require "skynet.profile"
		for _ = 1, 300 do
			profile.start(coroutine.create(print))
			collectgarbage()
		end
		local co = coroutine.create(coroutine.yield)
		profile.start(co)
		try.raises("more than once", profile.start, co)
		coroutine.resume(co)
		try.yes(profile.stop(co) >= 0)
		try.raises("before profile.stop", profile.stop, co)
	end)

	try.case("leaving from the main chunk is quiet", function()
		local log = try.log()
		skynet.newservice(SERVICE_NAME, "quitter")
		log.wait "KILL self"
		skynet.call(".launcher", "lua", "LIST")
		try.no(log.find "loader error")
	end)

	try.case("redirect wants a session", function()
		try.equal(pcall(skynet.redirect, skynet.self(), 0, "lua"), false)
	end)

	try.case("a string that is longer than anything can be", function()
		for n = 0, 20 do
			try.equal(pcall(string.rep, "x", math.maxinteger - n), false)
		end
	end)

	try.ours("a service killed by the engine while it starts fails its newservice", function()
		local started = try.later(try.start, "slow")
		local address = try.until_true(function()
			for address, words in pairs(skynet.call(".launcher", "lua", "LIST")) do
				if words == "snlua t_edges slow" then return address end
			end
		end)
		core.command("KILL", address)
		local ok, err = started()
		try.equal(ok, false)
		try.contains(err, "call failed")
		try.equal(skynet.call(".launcher", "lua", "LIST")[address], nil)
	end)
end)
