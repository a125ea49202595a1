-- skynet.manager: the exit monitor, forward_type, filter, names, launch and kill.
local skynet = require "skynet"
local core = require "skynet.core"
require "skynet.manager"
local try = require "try"

local roles = {}

function roles.watcher()
	local seen = {}
	skynet.register_protocol {
		name = "client",
		id = skynet.PTYPE_CLIENT,
		unpack = skynet.tostring,
		dispatch = function(session, source, payload) seen[source] = { session, payload or "" } end,
	}
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, who) skynet.retpack(seen[who]) end)
	end)
end

function roles.echo()
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, ...) skynet.retpack(...) end)
	end)
end

-- Takes "text" as requests for `target`, hands the pointer on without looking inside.
function roles.forwarder(target)
	skynet.register_protocol { name = "text", id = skynet.PTYPE_TEXT, pack = function(...) return ... end, unpack = skynet.tostring }
	skynet.register_protocol {
		name = "passing",
		id = 100,
		unpack = function(...) return ... end,
		dispatch = function(session, source, msg, sz)
			skynet.ignoreret()
			skynet.redirect(tonumber(target), source, "lua", session, msg, sz)
		end,
	}
	skynet.forward_type({ [101] = 100 }, function()
		skynet.dispatch("lua", function(_, _, ...) skynet.retpack("not forwarded", ...) end)
	end)
end

-- Answers with what came, after the filter doubled the payload.
function roles.filtered()
	local filtered = {}
	skynet.filter(function(kind, msg, sz, session, source)
		filtered[#filtered + 1] = kind
		return kind, msg, sz, session, source
	end, function()
		skynet.dispatch("lua", function(_, _, ...)
			local n = 0
			for _, kind in ipairs(filtered) do
				if kind == skynet.PTYPE_LUA then n = n + 1 end
			end
			skynet.retpack(n, ...)
		end)
	end)
end

if try.role(roles, ...) then return end

try.main(function()
	try.case("the exit monitor hears of every end from the dead handle itself", function()
		core.command("MONITOR", skynet.address(try.start "watcher"))
		local watcher = core.addresscommand "MONITOR"
		local killed, exited = try.start "echo", try.start "echo"
		skynet.kill(killed)
		skynet.send(exited, "debug", "EXIT")
		for _, who in ipairs { killed, exited } do
			local note = try.until_true(function() return skynet.call(watcher, "lua", who) end)
			try.equal(note[1], 0)
			try.equal(note[2], "")
		end
		core.command("MONITOR", ":0")
	end)

	try.case("forward_type hands the message on untouched, other types as always", function()
		local target = try.start "echo"
		local f = try.start("forwarder", target)
		skynet.register_protocol { name = "forwarded", id = 101, pack = skynet.pack, unpack = skynet.unpack }
		try.values({ "through", 1, "x" }, skynet.call(f, "forwarded", "through", 1, "x"))
		try.values({ "not forwarded", 2 }, skynet.call(f, "lua", 2))
		local long = ("long "):rep(100000)
		try.equal(skynet.call(f, "forwarded", long), long)
	end)

	try.case("filter sees every message", function()
		local f = try.start "filtered"
		try.values({ 1, "a" }, skynet.call(f, "lua", "a"))
		try.values({ 2, "b" }, skynet.call(f, "lua", "b"))
	end)

	try.case("local names: the first owner keeps one, a service may have several, they end with it", function()
		local a, b = try.start "echo", try.start "echo"
		skynet.name(".first", a)
		skynet.name(".first", b)
		skynet.name(".second", a)
		try.equal(skynet.localname ".first", a)
		try.equal(skynet.localname ".second", a)
		try.equal(skynet.call(".second", "lua", 1), 1)
		try.equal(core.command("QUERY", ".first"), (":%x"):format(a))
		try.equal(core.command "REG", (":%x"):format(skynet.self()))
		skynet.register ".tester"
		try.equal(skynet.localname ".tester", skynet.self())
		skynet.kill ".first"
		try.equal(skynet.localname ".first", nil)
		try.equal(skynet.localname ".second", nil)
		try.raises("call to invalid address", skynet.call, a, "lua")
		try.equal(select("#", skynet.localname "no dot"), 0)
		try.equal(select("#", skynet.localname ".nobody"), 0)
	end)

	try.case("global names are checked", function()
		for _, name in ipairs { ":x", "12345", ("x"):rep(16) } do
			try.equal(pcall(skynet.name, name, skynet.self()), false, name)
		end
	end)

	try.case("a global name serves calls, also those made before it is there", function()
		local early = try.later(skynet.call, "T_MANAGER", "lua", "early")
		skynet.yield()
		skynet.name("T_MANAGER", try.start "echo")
		local ok, answer = early()
		try.equal(ok, true)
		try.equal(answer, "early")
		try.equal(skynet.call("T_MANAGER", "lua", "late"), "late")
	end)

	try.case("kill is logged in the caller's name, also when nobody is there", function()
		local log = try.log()
		local s = try.start "echo"
		skynet.kill(s)
		log.wait(("[%s] KILL :%x"):format(skynet.address(skynet.self()), s))
		skynet.kill(0xffff)
		log.wait(("[%s] KILL :ffff"):format(skynet.address(skynet.self())))
	end)

	try.case("KILL by the launcher tells what was killed", function()
		local s = try.start("echo", "word")
		local killed = skynet.call(".launcher", "lua", "KILL", s)
		try.equal(killed[skynet.address(s)], "snlua t_manager echo word")
		try.equal(skynet.call(".launcher", "lua", "LIST")[skynet.address(s)], nil)
	end)

	try.case("a service that kills itself runs until it waits, and no further", function()
		local ran = try.later(function()
			local s = skynet.newservice("suicide", skynet.self())
			return s
		end)
		local _, s = ran()
		local log = try.log()
		skynet.send(s, "lua", "go")
		log.wait "still running"
		try.until_true(function() return not pcall(skynet.call, s, "lua", "x") end)
		try.no(log.find "ran on")
	end)

	try.case("LAUNCH is logged before its answer, FAILED when there is no such module", function()
		local log = try.log()
		local s = skynet.launch("snlua", SERVICE_NAME, "echo", "here")
		log.wait(("[%s] LAUNCH snlua t_manager echo here"):format(skynet.address(s)))
		skynet.kill(s)
		try.equal(skynet.launch "no_such_module", nil)
		try.equal(core.command("LAUNCH", "no_such_module x"), nil)
		try.matches(core.command("LAUNCH", "snlua " .. SERVICE_NAME .. " echo"), "^:%x%x%x%x%x%x%x%x$")
	end)
end)
