-- Who still wants an answer: response("TEST"), term, context, ignoreret, the forgotten answer.
local skynet = require "skynet"
local try = require "try"

local roles = {}
function roles.server()
	local kept = {}
	skynet.start(function()
		skynet.dispatch("lua", function(session, source, cmd, ...)
			if cmd == "keep" then
				kept[#kept + 1] = skynet.response()
			elseif cmd == "test" then
				skynet.retpack(kept[#kept] "TEST")
			elseif cmd == "answer" then
				skynet.retpack(kept[#kept](...))
			elseif cmd == "context" then
				local before = table.pack(skynet.context())
				local answer = skynet.response()
				local after = table.pack(skynet.context())
				answer(true, session, source, before, after)
			elseif cmd == "forget" then
				return "values that nobody gets"
			elseif cmd == "ignore" then
				skynet.ignoreret()
			elseif cmd == "term" then
				-- in a fork: term cancels the answer of the coroutine that calls it
				local who = source
				skynet.fork(function() skynet.term(who) end)
				skynet.retpack()
			elseif cmd == "call" then
				skynet.retpack(pcall(skynet.call, ...))
			elseif cmd == "give up on" then
				skynet.term((...))
			elseif cmd == "ret" then
				skynet.retpack(skynet.ret(skynet.pack "x"))
			else
				skynet.retpack(cmd, ...)
			end
		end)
	end)
end
if try.role(roles, ...) then return end

try.main(function()
	try.case("TEST is true while the answer is wanted and does not use it up", function()
		local s = try.start "server"
		local result = try.later(skynet.call, s, "lua", "keep")
		skynet.yield()
		try.equal(skynet.call(s, "lua", "test"), true)
		try.equal(skynet.call(s, "lua", "test"), true)
		try.equal(skynet.call(s, "lua", "answer", true, "a", "b"), true)
		try.values({ true, "a", "b" }, result())
		try.equal(skynet.call(s, "lua", "test"), false)
	end)

	try.case("response(false) fails the call", function()
		local s = try.start "server"
		local result = try.later(skynet.call, s, "lua", "keep")
		skynet.yield()
		try.equal(skynet.call(s, "lua", "answer", false), true)
		local ok, err = result()
		try.equal(ok, false)
		try.contains(err, "call failed")
	end)

	try.case("a requester that has gone wants nothing", function()
		local s, asker = try.start "server", try.start "server"
		skynet.send(asker, "lua", "call", s, "lua", "keep")
		try.until_true(function() return pcall(skynet.call, s, "lua", "test") end)
		try.equal(skynet.call(s, "lua", "test"), true)
		skynet.send(asker, "debug", "EXIT")
		try.until_true(function() return not skynet.call(s, "lua", "test") end, "the asker's end is known")
		try.equal(skynet.call(s, "lua", "answer", true, 1), false)
	end)

	try.case("term drops the answers owed to a service", function()
		local s = try.start "server"
		local result = try.later(skynet.call, s, "lua", "keep")
		skynet.yield()
		skynet.call(s, "lua", "term")
		try.until_true(function() return not skynet.call(s, "lua", "test") end)
		try.equal(skynet.call(s, "lua", "answer", true, 1), false)
		try.equal(pcall(result, 5), false, "nobody answered")
		-- give the call up, or it counts as a task for ever
		skynet.kill(s)
		skynet.term(s)
		try.equal(result(), false)
	end)

	try.case("term fails the own calls to a service", function()
		local s = try.start "server"
		local result = try.later(skynet.call, s, "lua", "keep")
		skynet.yield()
		skynet.term(s)
		local ok, err = result()
		try.equal(ok, false)
		try.contains(err, "call failed")
		try.equal(skynet.call(s, "lua", "alive"), "alive")
	end)

	try.case("context: session and source while unanswered, then only the source", function()
		local s = try.start "server"
		local session, source, before, after = skynet.call(s, "lua", "context")
		try.equal(source, skynet.self())
		try.equal(before[1], session)
		try.equal(before[2], source)
		try.equal(after[1], nil)
		try.equal(after[2], source)
		local mine = table.pack(skynet.context())
		try.equal(mine[1], nil)
		try.equal(mine[2], nil)
	end)

	try.case("ret: true to the living; nothing can be answered to a send", function()
		local s = try.start "server"
		try.equal(skynet.call(s, "lua", "ret"), "x")
		local log = try.log()
		skynet.send(s, "lua", "ret")
		skynet.call(s, "lua", "after")
		try.no(log.find "Maybe forgot")
	end)

	try.case("a handler that forgets to answer is logged with its place", function()
		local s = try.start "server"
		local log = try.log()
		local result = try.later(skynet.call, s, "lua", "forget")
		local line = log.wait "Maybe forgot response session"
		try.matches(line, "^%[" .. skynet.address(s) .. "%] Maybe forgot response session %d+ from " .. skynet.address(skynet.self())
			.. " : .-t_answers%.lua:%d+$")
		try.equal(pcall(result, 2), false, "nobody answered")
		skynet.kill(s)
		skynet.term(s)
	end)

	try.case("ignoreret keeps the log quiet", function()
		local s = try.start "server"
		local log = try.log()
		local result = try.later(skynet.call, s, "lua", "ignore")
		skynet.call(s, "lua", "after")
		try.no(log.find "Maybe forgot")
		skynet.term(s)
		try.equal(result(), false)
	end)

	try.case("the text form of an address is another key than the handle for term", function()
		local s = try.start "server"
		local result = try.later(skynet.call, skynet.address(s), "lua", "keep")
		skynet.yield()
		skynet.term(s)
		try.equal(pcall(result, 2), false, "term of the handle does not touch the call by address")
		skynet.term(skynet.address(s))
		try.equal(result(), false)
	end)
end)
