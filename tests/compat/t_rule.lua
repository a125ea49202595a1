-- The one rule: a request that can no longer be answered gets an error. Most of it is where Fulmar answers and skynet
-- leaves its caller waiting.
local skynet = require "skynet"
local core = require "skynet.core"
require "skynet.manager"
local try = require "try"

local roles = {}

function roles.server()
	skynet.register_protocol { name = "broken", id = 120, unpack = function() error "cannot unpack this" end, dispatch = function() end }
	skynet.start(function()
		skynet.dispatch("lua", function(_, source, cmd, ...)
			if cmd == "wait" then
				skynet.wait()
			elseif cmd == "keep" then
				KEPT = skynet.response()
			elseif cmd == "nested" then
				skynet.call(..., "lua", "wait")
			elseif cmd == "spin" then
				while true do end
			elseif cmd == "error" then
				error "asked to fail"
			elseif cmd == "error later" then
				skynet.yield()
				error { "no string" }
			elseif cmd == "drop" then
				skynet.fork(function() error "in a fork" end)
				skynet.retpack "dropped"
			else
				skynet.retpack(cmd, ...)
			end
		end)
	end)
end

-- Has no message function at all.
function roles.deaf() end

if try.role(roles, ...) then return end

local function must_fail(result)
	local ok, err = result()
	try.equal(ok, false)
	try.contains(err, "call failed")
end

try.main(function()
	try.ours("killed while a handler waits", function()
		local s = try.start "server"
		local a, b = try.later(skynet.call, s, "lua", "wait"), try.later(skynet.call, s, "lua", "wait")
		try.equal(skynet.call(s, "lua", "there"), "there")
		skynet.kill(s)
		must_fail(a)
		must_fail(b)
	end)

	try.ours("killed while it keeps the answer for later", function()
		local s = try.start "server"
		local a = try.later(skynet.call, s, "lua", "keep")
		try.equal(skynet.call(s, "lua", "there"), "there")
		skynet.kill(s)
		must_fail(a)
	end)

	try.ours("killed in the middle of a chain of calls", function()
		local a, b = try.start "server", try.start "server"
		local result = try.later(skynet.call, a, "lua", "nested", b)
		try.until_true(function() return next(skynet.call(b, "debug", "TASK")) end)
		skynet.kill(b)
		must_fail(result)
		try.equal(skynet.call(a, "lua", "alive"), "alive")
	end)

	try.ours("unpack of the request fails", function()
		local s = try.start "server"
		skynet.register_protocol { name = "broken", id = 120, pack = skynet.pack, unpack = skynet.unpack }
		local log = try.log()
		must_fail(try.later(skynet.call, s, "broken", 1))
		log.wait "cannot unpack this"
		must_fail(try.later(skynet.rawcall, s, "lua", "\255\255\255"))
		log.wait "Invalid serialize stream"
		try.equal(skynet.call(s, "lua", "alive"), "alive")
	end)

	try.ours("a signal interrupts the handler", function()
		local s = try.start "server"
		local result = try.later(skynet.call, s, "lua", "spin")
		local log = try.log()
		skynet.sleep(2)
		core.command("SIGNAL", skynet.address(s) .. " 0")
		must_fail(result)
		log.wait "recv a signal 0"
		log.wait "signal 0"
		try.equal(skynet.call(s, "lua", "alive"), "alive")
	end)

	try.ours("a signal to an idle service eats the next message, and answers it", function()
		local s = try.start "server"
		try.equal(skynet.call(s, "lua", "there"), "there")
		core.command("SIGNAL", skynet.address(s) .. " 0")
		must_fail(try.later(skynet.call, s, "lua", "eaten"))
		try.equal(skynet.call(s, "lua", "alive"), "alive")
	end)

	try.case("a handler that raises, at once or later", function()
		local s = try.start "server"
		must_fail(try.later(skynet.call, s, "lua", "error"))
		must_fail(try.later(skynet.call, s, "lua", "error later"))
		try.equal(skynet.call(s, "lua", "drop"), "dropped")
	end)

	try.case("what is still in the mailbox of the dead", function()
		local s = try.start "server"
		skynet.send(s, "debug", "EXIT")
		local results = {}
		for i = 1, 20 do results[i] = try.later(skynet.call, s, "lua", i) end
		for i = 1, 20 do try.equal(results[i](), false) end
	end)

	try.ours("a service that never starts to listen fails its newservice, and what it is asked", function()
		local log = try.log()
		try.raises("call failed", skynet.newservice, SERVICE_NAME, "deaf")
		log.wait "its script has not called skynet.start"
		local deaf = skynet.launch("snlua", SERVICE_NAME, "deaf")
		try.raises("call failed", skynet.call, deaf, "lua", "x")
		try.equal(skynet.send(deaf, "lua", "x"), 0)
		skynet.kill(deaf)
		try.raises("call to invalid address", skynet.call, deaf, "lua", "x")
	end)

	try.case("LINK fails when the service ends", function()
		local s = try.start "server"
		local result = try.later(skynet.call, s, "debug", "LINK")
		skynet.yield()
		skynet.send(s, "debug", "EXIT")
		must_fail(result)
	end)

	try.ours("LINK fails when the service is killed", function()
		local s = try.start "server"
		local result = try.later(skynet.call, s, "debug", "LINK")
		try.equal(skynet.call(s, "lua", "there"), "there")
		skynet.kill(s)
		must_fail(result)
	end)
end)
