-- Messages that nobody expects: hooks, their defaults, and the one rule for requests.
local skynet = require "skynet"
local core = require "skynet.core"
local try = require "try"

local roles = {}

function roles.plain()
	skynet.register_protocol { name = "mute", id = 110, unpack = skynet.tostring }
	skynet.start(function() skynet.dispatch("lua", function(_, _, ...) skynet.retpack(...) end) end)
end

function roles.hooked()
	local seen = {}
	skynet.register_protocol { name = "mute", id = 110, unpack = skynet.tostring }
	skynet.start(function()
		local before = skynet.dispatch_unknown_request(function(session, source, msg, sz, prototype)
			seen[#seen + 1] = { session, source, skynet.tostring(msg, sz), prototype }
		end)
		skynet.dispatch_unknown_response(function(session, source, msg, sz)
			seen[#seen + 1] = { session, source, skynet.tostring(msg, sz), "response" }
		end)
		skynet.dispatch("lua", function() skynet.retpack(seen, type(before)) end)
	end)
end

-- A coroutine dispatches a message by itself, and the hook closes that coroutine.
function roles.closing()
	skynet.dispatch_unknown_request(function() coroutine.close(coroutine.running()) end)
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, cmd)
			if cmd == "close" then
				local co = coroutine.create(function() skynet.dispatch_message(111, nil, 0, 0, skynet.self()) end)
				local forked = false
				skynet.fork(function() forked = true end)
				local ok, err = coroutine.resume(co)
				skynet.yield()
				skynet.retpack(ok, err, coroutine.status(co), forked)
			elseif cmd == "close task" then
				skynet.dispatch_message(111, nil, 0, 0, skynet.self())
				skynet.retpack "not closed"
			else
				skynet.retpack(cmd)
			end
		end)
	end)
end

if try.role(roles, ...) then return end

try.main(function()
	skynet.register_protocol { name = "mute", id = 110, pack = function(s) return s end, unpack = skynet.tostring }
	skynet.register_protocol { name = "unknown", id = 111, pack = function(s) return s end, unpack = skynet.tostring }

	try.case("a request of a type that is not registered, or has no handler, fails", function()
		local s = try.start "plain"
		try.raises("call failed", skynet.call, s, "unknown", "x")
		try.raises("call failed", skynet.call, s, "mute", "x")
		try.equal(skynet.call(s, "lua", 1), 1)
	end)

	try.case("without a session it is logged and raised", function()
		local s = try.start "plain"
		local log = try.log()
		skynet.send(s, "unknown", "hello")
		log.wait(("[%s] Unknown request (111): hello"):format(skynet.address(s)))
		log.wait(("Unknown session : 0 from %x"):format(skynet.self()))
		skynet.send(s, "mute", "again")
		log.wait "Unknown request (mute): again"
	end)

	try.case("an answer that nobody waits for is logged and raised", function()
		local s = try.start "plain"
		local log = try.log()
		core.send(s, skynet.PTYPE_RESPONSE, 77, "stray")
		log.wait(("[%s] Response message : stray"):format(skynet.address(s)))
		log.wait(("Unknown session : 77 from %x"):format(skynet.self()))
		try.equal(skynet.call(s, "lua", 1), 1)
	end)

	try.case("the hooks take their place", function()
		local s = try.start "hooked"
		skynet.send(s, "unknown", "a")
		skynet.send(s, "mute", "b")
		core.send(s, skynet.PTYPE_RESPONSE, 5, "c")
		local seen, before = skynet.call(s, "lua")
		try.equal(before, "function")
		try.equal(#seen, 3)
		try.values({ 0, skynet.self(), "a", 111 }, table.unpack(seen[1]))
		try.values({ 0, skynet.self(), "b", "mute" }, table.unpack(seen[2]))
		try.values({ 5, skynet.self(), "c", "response" }, table.unpack(seen[3]))
	end)

	try.case("a stray error message is ignored", function()
		local s = try.start "plain"
		local log = try.log()
		core.send(s, skynet.PTYPE_ERROR, 12345, "")
		core.send(s, skynet.PTYPE_ERROR, 0, "")
		try.equal(skynet.call(s, "lua", 1), 1)
		try.no(log.find "Unknown")
		try.no(log.find "error")
	end)

	try.case("an error with session 0 fails every call that waits for its source", function()
		local s = try.start "plain"
		skynet.register_protocol { name = "held", id = 112, pack = skynet.pack, unpack = skynet.unpack }
		local a, b = try.later(skynet.call, s, "debug", "LINK"), try.later(skynet.call, s, "debug", "LINK")
		skynet.yield()
		core.redirect(skynet.self(), s, skynet.PTYPE_ERROR, 0, "")
		for _, result in ipairs { a, b } do
			local ok, err = result()
			try.equal(ok, false)
			try.contains(err, "call failed")
		end
		try.equal(skynet.call(s, "lua", 1), 1)
	end)

	try.case("a hook may close the coroutine that dispatched the message", function()
		local s = try.start "closing"
		local ok, err, status, forked = skynet.call(s, "lua", "close")
		try.equal(ok, true)
		try.equal(err, nil)
		try.equal(status, "dead")
		try.equal(forked, true)
		try.equal(skynet.call(s, "lua", "alive"), "alive")
	end)

	try.ours("a hook may close the task that dispatched the message, which is an end without an answer", function()
		local s = try.start "closing"
		local log = try.log()
		skynet.send(s, "lua", "close task")
		try.later(skynet.call, s, "lua", "close task")
		log.wait "Maybe forgot response session"
		try.equal(skynet.call(s, "lua", "alive"), "alive")
	end)
end)
