-- Services that are missing, broken, stuck or too large, and messages to where nobody is.
local skynet = require "skynet"
local core = require "skynet.core"
require "skynet.manager"
local census = require "census"
local try = require "try"

local roles = {}

function roles.server()
	skynet.start(function()
		local kept = {}
		skynet.dispatch("lua", function(_, _, cmd, ...)
			if cmd == "error" then
				error "asked to fail"
			elseif cmd == "error value" then
				error(setmetatable({}, { __tostring = function() error "in __tostring" end }))
			elseif cmd == "error in close" then
				local _ <close> = setmetatable({}, { __close = function() error "in __close" end })
				error "asked to fail"
			elseif cmd == "overflow" then
				local function f() return 1 + f() end
				f()
			elseif cmd == "deep" then
				local function f() return pcall(f) end
				skynet.retpack(f())
			elseif cmd == "spin" then
				skynet.error "spinning"
				while true do end
			elseif cmd == "exhaust" then
				while true do kept[#kept + 1] = ("x"):rep(1000) .. #kept end
			elseif cmd == "exhaust at once" then
				kept = ("x"):rep(1 << 40)
			elseif cmd == "collector" then
				setmetatable({}, { __gc = function() error "in __gc" end })
				collectgarbage()
				skynet.retpack "collected"
			else
				skynet.retpack(cmd, ...)
			end
		end)
	end)
end

function roles.limited()
	skynet.memlimit(4 * 1024 * 1024)
	roles.server()
end

-- Exhausts its memory while it loads.
function roles.greedy()
	skynet.memlimit(4 * 1024 * 1024)
	skynet.start(function()
		local t = {}
		while true do t[#t + 1] = ("x"):rep(1000) .. #t end
	end)
end

function roles.broken(how)
	if how == "chunk" then error "the chunk fails" end
	skynet.start(function()
		if how == "start" then error "the start fails" end
		if how == "late" then
			skynet.sleep(1)
			error { "no string" }
		end
		if how == "exit" then skynet.exit() end
		if how == "nested" then skynet.newservice(SERVICE_NAME, "broken", "start") end
	end)
end

if try.role(roles, ...) then return end

try.main(function()
	try.ours("services that cannot start", function()
		census.steady(20, function()
			try.raises("call failed", skynet.newservice, "no_such_service")
			try.raises("call failed", skynet.newservice, "../../../../etc/passwd")
			try.raises("call failed", skynet.newservice, ("long"):rep(5000))
			for _, how in ipairs { "chunk", "start", "late", "nested" } do
				try.raises("call failed", skynet.newservice, SERVICE_NAME, "broken", how)
			end
			try.equal(skynet.newservice(SERVICE_NAME, "broken", "exit"), nil)
			try.raises("call failed", skynet.newservice, SERVICE_NAME, "no such role")
			try.equal(skynet.launch("no_such_module", "x"), nil)
			try.equal(skynet.launch(""), nil)
			try.equal(core.command "LAUNCH", nil)
		end)
	end)

	try.ours("a service whose start exhausts its memory", function()
		census.steady(5, function() try.raises("call failed", skynet.newservice, SERVICE_NAME, "greedy") end)
	end)

	try.ours("handlers that fail, in every way", function()
		local s = try.start "server"
		census.steady(20, function()
			for _, cmd in ipairs { "error", "error value", "error in close" } do
				try.raises("call failed", skynet.call, s, "lua", cmd)
				skynet.send(s, "lua", cmd)
			end
			skynet.call(s, "lua", "deep")
			try.equal(skynet.call(s, "lua", "collector"), "collected")
			try.equal(skynet.call(s, "lua", "alive"), "alive")
		end)
	end)

	try.ours("a handler that calls itself without end", function()
		local s = try.start "server"
		try.raises("call failed", skynet.call, s, "lua", "overflow")
		try.equal(skynet.call(s, "lua", "alive"), "alive")
		skynet.kill(s)
	end)

	try.ours("a handler that exhausts its memory", function()
		census.steady(5, function()
			local s = try.start "limited"
			try.raises("call failed", skynet.call, s, "lua", "exhaust at once")
			try.equal(skynet.call(s, "lua", "alive"), "alive")
			-- what it keeps fills it: it may answer or fail from here on, but never more than that
			pcall(skynet.call, s, "lua", "exhaust")
			pcall(skynet.call, s, "lua", "alive")
			skynet.kill(s)
		end)
	end)

	try.ours("large messages to a service with little memory", function()
		census.steady(5, function()
			local s = try.start "limited"
			local large = ("x"):rep(16 << 20)
			pcall(skynet.call, s, "lua", "echo", large)
			local many = {}
			for i = 1, 100000 do many[i] = i .. "" end
			pcall(skynet.call, s, "lua", "echo", many, many)
			try.equal(skynet.call(s, "lua", "alive"), "alive")
			skynet.kill(s)
		end)
	end)

	try.ours("a handler that loops for ever, stopped by a signal", function()
		local s = try.start "server"
		census.steady(5, function()
			local log = try.log()
			local result = try.later(skynet.call, s, "lua", "spin")
			log.wait "spinning"
			core.command("SIGNAL", skynet.address(s) .. " 0")
			local ok, err = result()
			try.equal(ok, false)
			try.contains(err, "call failed")
			try.equal(skynet.call(s, "lua", "alive"), "alive")
		end)
	end)

	try.ours("a handler that loops for ever is killed: it ends when it is stopped", function()
		census.steady(3, function()
			local s = try.start "server"
			local log = try.log()
			local result = try.later(skynet.call, s, "lua", "spin")
			log.wait "spinning"
			core.command("SIGNAL", skynet.address(s) .. " 0")
			skynet.kill(s)
			try.equal(result(), false)
		end)
	end)

	try.ours("nobody there: dead, wrong, remote, malformed addresses", function()
		local dead = try.start "server"
		skynet.kill(dead)
		census.steady(50, function()
			for _, to in ipairs { dead, 0xfffff, 0xffffff, ":0", ":ffffff", ".nobody", ":", "." } do
				pcall(skynet.send, to, "lua", ("x"):rep(2000))
				local ok, err = pcall(skynet.send, to, "lua", {})
				if ok then try.no(err, tostring(to)) end
			end
			for _, to in ipairs { 0x1000001, 0xff000001, -1, 1 << 32, 1 << 40, math.mininteger } do
				pcall(skynet.send, to, "lua", ("x"):rep(2000))
			end
			for _, to in ipairs { true, {}, print, 1.5, (":%s"):format(("f"):rep(100)) } do
				pcall(skynet.send, to, "lua", "x")
			end
			for _, to in ipairs { dead, 0xfffff, ".nobody" } do
				try.raises("call to invalid address", skynet.call, to, "lua", ("x"):rep(2000))
			end
		end)
	end)

	try.ours("a call to another node fails when there is none", function()
		try.equal(pcall(skynet.call, 0x01000005, "lua", "x"), false)
	end)

	try.ours("times that are none", function()
		census.steady(10, function()
			local fired = 0
			for _, ti in ipairs { 0, -1, math.mininteger, -(1 << 31) } do
				skynet.timeout(ti, function() fired = fired + 1 end)
			end
			try.until_true(function() return fired == 4 end)
			for _, ti in ipairs { "no number", {}, 0 / 0, 1 / 0, 1.5 } do
				try.equal(pcall(skynet.timeout, ti, print), false, tostring(ti))
			end
		end)
	end)

	try.ours("huge times are far away, and are no task once killed", function()
		local fired = {}
		for _, ti in ipairs { 1 << 30, (1 << 31) - 1, 1 << 31, 1 << 32, (1 << 32) + 1, 1 << 40, math.maxinteger } do
			local ok, co = pcall(skynet.timeout, ti, function() fired[#fired + 1] = ti end)
			if ok then try.equal(type(co), "thread") end
		end
		skynet.sleep(20)
		try.equal(table.concat(fired, " "), "")
	end)

	try.ours("sessions and types out of range", function()
		local s = try.start "server"
		census.steady(10, function()
			for _, kind in ipairs { -1, 256, 1 << 20, 1 << 31, math.maxinteger, 0x10000, 0x20000, 0x30000 } do
				pcall(core.send, s, kind, 0, "x")
				pcall(core.send, s, kind, nil, "x")
			end
			for _, session in ipairs { -1, 1 << 31, 1 << 32, math.mininteger } do
				pcall(core.send, s, 10, session, skynet.packstring "alive")
				pcall(core.redirect, s, skynet.self(), 250, session, "x")
			end
			for _, from in ipairs { 0, -1, 1 << 32, 0x01000001 } do
				pcall(core.redirect, s, from, 10, 5, skynet.packstring "alive")
			end
			try.equal(skynet.call(s, "lua", "alive"), "alive")
		end)
	end)

	try.ours("commands with arguments that are none", function()
		census.steady(10, function()
			for _, cmd in ipairs { "TIMEOUT", "REG", "QUERY", "NAME", "KILL", "LAUNCH", "GETENV", "SETENV", "STARTTIME", "MONITOR",
				"STAT", "LOGON", "LOGOFF", "SIGNAL", "NO_SUCH_COMMAND", "" } do
				for _, param in ipairs { "", " ", "\n", ":", ".", ":zz", "no such thing", ("x"):rep(10000), ".x :zz", ":ffff 99999999999999999999" } do
					if not (cmd == "REG" and param:sub(1, 1) == ".") and cmd ~= "TIMEOUT" and cmd ~= "SETENV" then
						pcall(core.command, cmd, param)
						pcall(core.intcommand, cmd, param)
						pcall(core.addresscommand, cmd, param)
					end
				end
				if cmd ~= "TIMEOUT" then
					pcall(core.command, cmd, {})
					pcall(core.intcommand, cmd, 1 << 62)
				end
			end
		end)
	end)

	try.ours("a storm of messages to a service that dies in it", function()
		census.steady(5, function()
			local s = try.start "server"
			local results = {}
			for i = 1, 200 do
				results[i] = try.later(skynet.call, s, "lua", i, ("x"):rep(3000))
				if i == 100 then skynet.kill(s) end
			end
			for i = 1, 200 do results[i]() end
		end)
	end)

	try.ours("deep and wide calls from service to service that fail in the middle", function()
		local s = try.start "server"
		census.steady(10, function()
			local reqs = skynet.request()
			for i = 1, 50 do reqs { s, "lua", i % 3 == 0 and "error" or "ok", ("x"):rep(i * 100), token = i } end
			local failed = 0
			for _, resp in reqs:select() do
				if resp == false then failed = failed + 1 end
			end
			try.equal(failed, 16)
		end)
	end)
end)
