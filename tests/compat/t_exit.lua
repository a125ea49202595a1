-- What happens, in which order, when a service leaves by skynet.exit.
local skynet = require "skynet"
local core = require "skynet.core"
require "skynet.manager"
local try = require "try"

local roles = {}

function roles.leaver(tester)
	tester = tonumber(tester)
	local function note(word)
		return setmetatable({}, { __close = function() core.send(tester, 0, 0, word) end })
	end
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, cmd)
			if cmd == "wait" then
				local _ <close> = note "waiting handler closed"
				skynet.wait()
			elseif cmd == "keep" then
				KEPT = skynet.response()
			elseif cmd == "leave" then
				local _ <close> = note "leaving handler closed"
				skynet.fork(function() core.send(tester, 0, 0, "a fork ran") end)
				skynet.timeout(0, function() core.send(tester, 0, 0, "a timer ran") end)
				pcall(skynet.exit)
				core.send(tester, 0, 0, "ran on after exit")
			end
		end)
	end)
end

function roles.starter(how)
	skynet.start(function()
		if how == "exit" then skynet.exit() end
		if how == "error" then error "no good start" end
		if how == "wait" then skynet.wait() end
	end)
end

if (...) == "broken_chunk" then error "the chunk fails" end
if try.role(roles, ...) then return end

try.main(function()
	local heard = {}
	skynet.register_protocol {
		name = "text",
		id = skynet.PTYPE_TEXT,
		unpack = skynet.tostring,
		dispatch = function(_, _, word) heard[#heard + 1] = word end,
	}

	try.case("handlers are closed, the own one last; nothing else runs", function()
		local s = try.start("leaver", skynet.self())
		local failed = {}
		for _, cmd in ipairs { "wait", "keep" } do
			failed[#failed + 1] = try.later(skynet.call, s, "lua", cmd)
		end
		skynet.yield()
		try.raises("call failed", skynet.call, s, "lua", "leave")
		for _, result in ipairs(failed) do try.equal(result(), false) end
		try.until_true(function() return #heard == 2 end, "both handlers closed")
		skynet.sleep(2)
		try.equal(table.concat(heard, ", "), "waiting handler closed, leaving handler closed")
		try.raises("call to invalid address", skynet.call, s, "lua")
	end)

	try.case("KILL self is logged", function()
		local s = try.start("leaver", skynet.self())
		local log = try.log()
		skynet.send(s, "debug", "EXIT")
		log.wait(("[%s] KILL self"):format(skynet.address(s)))
	end)

	try.case("start functions: exit gives nothing, an error or a kill fails the parent", function()
		try.equal(select("#", skynet.newservice(SERVICE_NAME, "starter", "exit")), 0)
		local log = try.log()
		try.raises("call failed", skynet.newservice, SERVICE_NAME, "starter", "error")
		try.contains(log.wait "init service failed:", "no good start")
		local result = try.later(skynet.newservice, SERVICE_NAME, "starter", "wait")
		local address = try.until_true(function()
			for address, words in pairs(skynet.call(".launcher", "lua", "LIST")) do
				if words == "snlua t_exit starter wait" then return address end
			end
		end)
		skynet.kill(address)
		local ok, err = result()
		try.equal(ok, false)
		try.contains(err, "call failed")
	end)

	try.case("a chunk that fails or does not exist", function()
		local log = try.log()
		try.raises("call failed", skynet.newservice, SERVICE_NAME, "broken_chunk")
		try.contains(log.wait "lua loader error : ", "the chunk fails")
		log = try.log()
		try.raises("call failed", skynet.newservice, "no_such_service_file")
		log.wait "no_such_service_file"
	end)
end)
