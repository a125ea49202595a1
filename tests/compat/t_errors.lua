-- The texts of errors, and the place in front of them.
local skynet = require "skynet"
local core = require "skynet.core"
local try = require "try"

local roles = {}

function roles.echo()
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, ...) skynet.retpack(...) end)
	end)
end

function roles.fails()
	skynet.start(function()
		skynet.dispatch("lua", function() error "asked to fail" end)
	end)
end

function roles.twice(how)
	skynet.start(function()
		skynet.dispatch("lua", function()
			if how == "ret" then
				skynet.ret()
				skynet.ret()
			elseif how == "response" then
				skynet.retpack "first"
				skynet.response()
			else
				local answer = skynet.response()
				answer(true, "first")
				answer(true, "second")
			end
		end)
	end)
end

-- Everything that waits fails in the main chunk, which is no coroutine.
local chunk_errors = {}
if (...) == "chunk" then
	for name, f in pairs {
		sleep = function() skynet.sleep(1, {}) end,
		wait = function() skynet.wait {} end,
		call = function() skynet.call(".launcher", "lua", "LIST") end,
		newservice = function() skynet.newservice "t_errors" end,
	} do
		chunk_errors[name] = select(2, pcall(f))
	end
end
function roles.chunk()
	skynet.start(function()
		skynet.dispatch("lua", function() skynet.retpack(chunk_errors) end)
	end)
end

if try.role(roles, ...) then return end

try.main(function()
	local dead = skynet.newservice(SERVICE_NAME, "echo")
	skynet.kill(dead)

	try.case("send: addresses and messages that are none", function()
		try.raises("Invalid service address 0", skynet.send, 0, "lua")
		try.raises_at("Invalid service address 0", function() core.send(0, 10, 0, "x") end)
		try.raises_at("dest address type (nil) must be a string or number.", function() core.send(nil, 10, 0, "x") end)
		try.raises_at("dest address type (table) must be a string or number.", function() core.send({}, 10, 0, "x") end)
		try.raises_at("invalid param boolean", function() core.send(dead, 10, 0, true) end)
		try.raises_at("invalid param function", function() core.send(dead, 10, 0, print) end)
	end)

	try.case("an unknown protocol", function()
		try.raises_at("attempt to index a nil value", function() skynet.send(dead, "no such protocol") end)
		try.raises_at("attempt to index a nil value", function() skynet.call(dead, "no such protocol") end)
	end)

	try.case("send to the dead gives no value, not nil", function()
		try.equal(select("#", skynet.send(dead, "lua", "x")), 0)
		try.equal(select("#", core.send(dead, 10, 0, "x")), 0)
		try.equal(select("#", skynet.rawsend(".nobody", "lua", skynet.pack "x")), 0)
	end)

	try.case("call and rawcall to the dead", function()
		try.raises_at("call to invalid address " .. skynet.address(dead), function() skynet.call(dead, "lua") end)
		try.raises_at("call to invalid address .nobody", function() skynet.call(".nobody", "lua") end)
		try.raises_at("call to invalid address", function() skynet.rawcall(dead, "lua", skynet.pack()) end)
	end)

	try.case("the place is there too when pcall is the caller", function()
		for _, f in ipairs { skynet.call, skynet.rawcall } do
			local err = try.raises("call to invalid address", f, dead, "lua", "")
			try.matches(err, "^[^\n]-:%d+: ")
		end
		try.matches(try.raises("No session", skynet.retpack), "^[^\n]-:%d+: ")
		try.matches(try.raises("call failed", skynet.call, try.start "fails", "lua"), "^[^\n]-:%d+: ")
	end)

	try.case("call failed", function()
		local s = try.start "echo"
		skynet.send(s, "debug", "EXIT")
		try.raises_at("call failed", function() while true do skynet.call(s, "debug", "LINK") end end)
	end)

	try.case("answers where there is nothing to answer", function()
		try.raises_at("No session", function() skynet.ret() end)
		try.raises_at("No session", function() skynet.retpack(1) end)
		try.raises_at("no session", function() skynet.response() end)
	end)

	try.case("answers given twice", function()
		for how, text in pairs { ret = "No session", response = "no session", closure = "Can't response more than once" } do
			local log = try.log()
			skynet.call(try.start("twice", how), "lua")
			try.contains(log.wait "t_errors.lua:", text)
		end
	end)

	try.case("two sleepers with one token", function()
		local token = {}
		local first = try.later(skynet.wait, token)
		skynet.yield()
		try.raises_at("token duplicative", function() skynet.sleep(10, token) end)
		try.raises_at("token duplicative", function() skynet.wait(token) end)
		try.equal(skynet.wakeup(token), true)
		try.equal(first(), true)
	end)

	try.case("protocols", function()
		try.raises("assertion failed!", skynet.register_protocol, { name = "lua", id = 200 })
		try.raises("assertion failed!", skynet.register_protocol, { name = "another", id = skynet.PTYPE_LUA })
		try.raises("assertion failed!", skynet.register_protocol, { name = "another", id = 256 })
		try.raises("assertion failed!", skynet.register_protocol, { name = 12, id = 201 })
		try.raises("", skynet.dispatch, "no such protocol", print)
		try.equal(skynet.dispatch "no such protocol", nil)
	end)

	try.case("setenv of a key that is set", function()
		skynet.setenv("t_errors_once", "1")
		try.raises_at("Can't setenv exist key : t_errors_once", function() skynet.setenv("t_errors_once", "2") end)
		try.equal(skynet.getenv "t_errors_once", "1")
	end)

	try.case("commands", function()
		try.raises_at("Invalid result t_errors", function() core.intcommand("GETENV", "start") end)
		try.equal(core.intcommand("STAT", "no such thing"), 0)
		try.equal(select("#", core.command "NO_SUCH_COMMAND"), 0)
		try.equal(select("#", core.intcommand "NO_SUCH_COMMAND"), 0)
		try.equal(core.addresscommand "REG", skynet.self())
		try.equal(core.intcommand("GETENV", "harbor"), 0)
	end)

	try.case("trash", function()
		skynet.trash("a string is ignored", 3)
		skynet.trash(skynet.pack(1, 2, 3))
		try.raises_at("skynet.trash invalid param boolean", function() skynet.trash(true, 1) end)
	end)

	try.case("pack and unpack", function()
		try.raises_at("Unsupport type function to serialize", function() skynet.pack(print) end)
		try.raises_at("Unsupport type thread to serialize", function() skynet.pack { coroutine.running() } end)
		try.raises_at("Unsupport type userdata to serialize", function() skynet.packstring(io.stdout) end)
		local cycle = {}
		cycle[1] = cycle
		try.raises_at("serialize can't pack too depth table", function() skynet.pack(cycle) end)
		try.raises_at("Invalid serialize stream", function() skynet.unpack "\x15\xff" end)
	end)

	try.case("skynet.init wants a function, and a module that is being loaded", function()
		try.raises("assertion failed!", skynet.init, "no function")
		try.raises("", skynet.init, function() end)
	end)

	try.case("a monitor that cannot start", function()
		try.raises("", skynet.monitor, "no_such_monitor")
	end)

	try.case("the log line of a failed handler", function()
		local s = try.start "fails"
		local log = try.log()
		local result = try.later(skynet.call, s, "lua", "x")
		try.equal(result(), false)
		local line = log.wait "asked to fail"
		try.matches(line, ("^%%[%s%%] lua call %%[%x to :%x : %%d+ msgsz = 2%%] error : \27%%[31m"):format(skynet.address(s), skynet.self(), s))
		try.contains(line, "stack traceback:")
		try.matches(line, "\27%[0m$")
		log = try.log()
		skynet.send(s, "lua")
		try.matches(log.wait "asked to fail", "%[%x+ to :%x+ : 0 msgsz = 0%] error : ")
	end)

	try.case("in the main chunk nothing can wait", function()
		local errors = skynet.call(try.start "chunk", "lua")
		for _, name in ipairs { "sleep", "wait", "call", "newservice" } do
			try.contains(errors[name], "attempt to yield from outside a coroutine", name)
		end
	end)

	try.case("newservice takes strings and numbers", function()
		try.raises_at("call failed", function() skynet.newservice(SERVICE_NAME, {}) end)
		try.raises_at("call failed", function() skynet.newservice "no_such_service" end)
	end)

	try.case("a unique service that cannot start: the text, for ever", function()
		for _ = 1, 2 do
			local err = try.raises("", skynet.uniqueservice, "no_such_service")
			try.matches(err, "^[^\n]-:%d+: ")
		end
	end)

	try.case("values that are not strings pass through error unchanged", function()
		local thrown = {}
		try.equal(select(2, pcall(function() error(thrown) end)), thrown)
		try.equal(select(2, skynet.pcall(function() skynet.yield() error(thrown) end)), thrown)
	end)
end)
