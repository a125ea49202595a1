-- Signals to services; memory limits and warnings.
local skynet = require "skynet"
local core = require "skynet.core"
require "skynet.manager"
local try = require "try"

local roles = {}

function roles.server()
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, cmd, ...)
			if cmd == "spin" then
				skynet.error "spinning"
				while true do end
			elseif cmd == "spin in pcall" then
				skynet.error "spinning"
				skynet.retpack(pcall(function() while true do end end))
			elseif cmd == "spin in coroutine" then
				skynet.error "spinning"
				skynet.retpack(coroutine.resume(coroutine.create(function() while true do end end)))
			else
				skynet.retpack(cmd, ...)
			end
		end)
	end)
end

function roles.limited()
	skynet.memlimit(8 * 1024 * 1024)
	local gone = skynet.memlimit == nil
	local kept = {}
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, cmd, n)
			if cmd == "keep" then
				for _ = 1, n do kept[#kept + 1] = ("x"):rep(1024) .. #kept end
				skynet.retpack(#kept)
			elseif cmd == "pcall" then
				local _, err = pcall(function()
					for _ = 1, n do kept[#kept + 1] = ("x"):rep(1024) .. #kept end
				end)
				kept = {}
				skynet.retpack(err)
			elseif cmd == "drop" then
				kept = {}
				collectgarbage()
				skynet.retpack()
			else
				skynet.retpack(gone, skynet.memlimit)
			end
		end)
	end)
end

-- The message function is Lua's own, set without skynet.start.
function roles.raw(exhaust)
	skynet.memlimit(4 * 1024 * 1024)
	core.callback(function(...)
		if exhaust == "directly" then ("x"):rep(8 * 1024 * 1024) end
		skynet.dispatch_message(...)
	end)
	skynet.dispatch("lua", function() ("x"):rep(8 * 1024 * 1024) end)
	skynet.init_service(function() end)
end

function roles.hooked()
	local function spin()
		skynet.error "spinning"
		while true do end
	end
	skynet.dispatch_unknown_request(spin)
	skynet.dispatch_unknown_response(spin)
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, ...) skynet.retpack(...) end)
	end)
end

function roles.hungry()
	local kept = {}
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, n)
			for _ = 1, n do kept[#kept + 1] = ("x"):rep(1 << 20) .. #kept end
			skynet.retpack(#kept)
		end)
	end)
end

if try.role(roles, ...) then return end

try.main(function()
	try.case("signal 0 breaks a busy loop; the service lives on", function()
		local s = try.start "server"
		local log = try.log()
		skynet.send(s, "lua", "spin")
		log.wait "spinning"
		core.command("SIGNAL", skynet.address(s) .. " 0")
		log.wait(("[%s] recv a signal 0"):format(skynet.address(s)))
		log.wait "signal 0"
		try.equal(skynet.call(s, "lua", "alive"), "alive")
	end)

	try.case("a pcall or a coroutine around the loop sees the error", function()
		for _, cmd in ipairs { "spin in pcall", "spin in coroutine" } do
			local s = try.start "server"
			local log = try.log()
			local result = try.later(skynet.call, s, "lua", cmd)
			log.wait "spinning"
			core.command("SIGNAL", skynet.address(s))
			local _, ok, err = result()
			try.equal(ok, false)
			try.contains(err, "signal 0")
			try.equal(skynet.call(s, "lua", "alive"), "alive")
		end
	end)

	try.ours("signal 0 breaks a loop in a hook for unknown messages", function()
		local s = try.start "hooked"
		for _, type in ipairs { 111, skynet.PTYPE_RESPONSE } do
			local log = try.log()
			core.send(s, type, type == 111 and 0 or 5, "stray")
			log.wait "spinning"
			core.command("SIGNAL", skynet.address(s) .. " 0")
			log.wait "signal 0"
			try.equal(skynet.call(s, "lua", "alive"), "alive")
		end
	end)

	try.case("signal 0 hits the next Lua code of an idle service, once", function()
		local s = try.start "server"
		local log = try.log()
		core.command("SIGNAL", skynet.address(s) .. " 0x0")
		skynet.send(s, "lua", "lost")
		try.equal(skynet.call(s, "lua", "alive"), "alive")
		log.wait "signal 0"
	end)

	try.case("signal 1 tells the memory, others are logged", function()
		local s = try.start "server"
		local log = try.log()
		core.command("SIGNAL", skynet.address(s) .. " 1")
		log.wait "recv a signal 1"
		try.matches(log.wait "Current Memory", "Current Memory [%d.]+K$")
		core.command("SIGNAL", skynet.address(s) .. " 7")
		log.wait "recv a signal 7"
		try.equal(skynet.call(s, "lua", "alive"), "alive")
		core.command("SIGNAL", ":ffff 0")
		core.command("SIGNAL", "nonsense")
	end)

	try.case("memlimit: logged, used once, errors that pcall catches, room again after a collection", function()
		local log = try.log()
		local s = try.start "limited"
		log.wait(("[%s] Set memory limit to 8.00 M"):format(skynet.address(s)))
		local gone, now = skynet.call(s, "lua", "gone")
		try.equal(gone, true)
		try.equal(now, nil)
		try.equal(skynet.call(s, "lua", "keep", 1000), 1000)
		try.equal(skynet.call(s, "lua", "pcall", 100000), "not enough memory")
		skynet.call(s, "lua", "drop")
		try.equal(skynet.call(s, "lua", "keep", 1000), 1000)
	end)

	try.ours("a handler that runs out of memory: its requester gets an error, it is logged, the service goes on", function()
		local s = try.start "limited"
		for _ = 1, 3 do
			local log = try.log()
			try.raises("call failed", skynet.call, s, "lua", "keep", 100000)
			try.until_true(function() return log.find "not enough memory" or log.find "lua memory error : " end)
			skynet.call(s, "lua", "drop")
		end
		try.equal(skynet.call(s, "lua", "keep", 1000), 1000)
	end)

	try.case("a memory error of the message function itself is a line of its own; one of a handler is an error", function()
		for _, how in ipairs { "directly", "in a handler" } do
			local s = try.start("raw", how)
			local log = try.log()
			skynet.send(s, "lua")
			if how == "directly" then
				log.wait(("[%s] lua memory error : [%x to :%x : 0]"):format(skynet.address(s), skynet.self(), s))
			else
				try.contains(log.wait(("[%s] lua call ["):format(skynet.address(s))), "not enough memory")
			end
			skynet.kill(s)
		end
	end)

	try.case("memory warnings come at 32 MiB and at each doubling", function()
		local log = try.log()
		local s = try.start "hungry"
		skynet.call(s, "lua", 20)
		try.no(log.find(("[%s] Memory warning"):format(skynet.address(s))))
		skynet.call(s, "lua", 20)
		try.matches(log.wait(("[%s] Memory warning 3"):format(skynet.address(s))), "Memory warning 3[23]%.%d%d M$")
		skynet.call(s, "lua", 40)
		try.matches(log.wait(("[%s] Memory warning 6"):format(skynet.address(s))), "Memory warning 6[45]%.%d%d M$")
		skynet.kill(s)
	end)
end)
