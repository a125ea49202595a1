-- skynet.coroutine, skynet.queue, skynet.mqueue.
local skynet = require "skynet"
local core = require "skynet.core"
local co = require "skynet.coroutine"
local queue = require "skynet.queue"
local try = require "try"

local roles = {}
function roles.line()
	local mqueue = require "skynet.mqueue"
	local inside = 0
	mqueue.register(function(cmd, ...)
		inside = inside + 1
		assert(inside == 1, "two at once")
		skynet.sleep(1)
		inside = inside - 1
		if cmd == "fail" then error "the queue's function fails" end
		if cmd == "size" then return mqueue.size() end
		if cmd ~= "quiet" then return cmd, ... end
	end)
	skynet.start(function() end)
end
function roles.yields()
	skynet.start(function()
		skynet.dispatch("lua", function() require "skynet.coroutine".yield() end)
	end)
end
if try.role(roles, ...) then return end

try.main(function()
	try.case("a body that waits blocks whoever resumed it; yields go to the resumer", function()
		local order = {}
		local body = co.create(function(a)
			order[#order + 1] = "in " .. a
			skynet.sleep(1)
			local b = co.yield "out 1"
			order[#order + 1] = "in " .. b
			skynet.yield()
			return "end"
		end)
		try.values({ true, "out 1" }, co.resume(body, "a"))
		try.equal(co.status(body), "suspended")
		try.values({ true, "end" }, co.resume(body, "b"))
		try.equal(co.status(body), "dead")
		try.equal(table.concat(order, ","), "in a,in b")
		try.equal(co.resume(body), false)
	end)

	try.case("blocked: status, and a second resumer is refused", function()
		local token = {}
		local body = co.create(function() skynet.wait(token) return "woken" end)
		local result = try.later(co.resume, body)
		skynet.yield()
		try.equal(co.status(body), "blocked")
		local ok, err = co.resume(body)
		try.equal(ok, false)
		try.contains(err, "cannot resume a skynet coroutine suspend by skynet framework")
		skynet.wakeup(token)
		try.values({ true, true, "woken" }, result())
		ok, err = co.resume(coroutine.create(function() end))
		try.equal(ok, false)
		try.contains(err, "cannot resume none skynet coroutine")
	end)

	try.case("wrap, errors, close, thread", function()
		local f = co.wrap(function(...) return co.yield(...) end)
		try.values({ 1, 2 }, f(1, 2))
		try.equal(f "x", "x")
		try.raises("", f)
		local failing = co.create(function() skynet.yield() error "in the body" end)
		local ok, err = co.resume(failing)
		try.equal(ok, false)
		try.contains(err, "in the body")
		local closed
		local open = co.create(function()
			local _ <close> = setmetatable({}, { __close = function() closed = true end })
			co.yield()
		end)
		co.resume(open)
		try.equal(co.close(open), true)
		try.yes(closed)
		local thread, is_root = co.thread()
		try.equal(thread, co.running())
		try.equal(is_root, true)
		local inner = co.create(function() return co.thread() end)
		local _, root, inner_is_root = co.resume(inner)
		try.equal(root, thread)
		try.equal(inner_is_root, false)
		try.equal(co.isyieldable(), true)
	end)

	try.case("this yield outside this resume ends the task", function()
		local s = try.start "yields"
		local log = try.log()
		skynet.send(s, "lua")
		log.wait "Call skynet.coroutine.yield out of skynet.coroutine.resume"
	end)

	try.ours("and its requester gets an error", function()
		try.raises("call failed", skynet.call, try.start "yields", "lua")
	end)

	try.case("queue: one at a time in the order of asking, held while it waits", function()
		local cs = skynet.queue and skynet.queue() or queue()
		local order, inside = {}, 0
		for i = 1, 5 do
			skynet.fork(cs, function(n)
				inside = inside + 1
				assert(inside == 1)
				skynet.yield()
				inside = inside - 1
				order[#order + 1] = n
			end, i)
		end
		try.until_true(function() return #order == 5 end)
		try.equal(table.concat(order), "12345")
	end)

	try.case("queue: re-entrant, gives the results, survives errors", function()
		local cs = queue()
		try.values({ 1, nil, 3, n = 3 }, cs(function(...) return cs(function(...) return ... end, ...) end, 1, nil, 3))
		local err = try.raises("inside the section", cs, function() error "inside the section" end)
		try.contains(err, "stack traceback")
		try.equal(cs(function() return "free" end), "free")
		local held = try.later(cs, function() skynet.sleep(2) error "late" end)
		skynet.yield()
		try.equal(cs(function() return "after it" end), "after it")
		try.equal(held(), false)
	end)

	try.case("mqueue: one message to its end, errors raised at the caller", function()
		local mqueue = require "skynet.mqueue"
		local line = try.start "line"
		local results = {}
		for i = 1, 4 do results[i] = try.later(mqueue.call, line, "item", i) end
		for i = 1, 4 do try.values({ true, "item", i }, results[i]()) end
		try.raises("the queue's function fails", mqueue.call, line, "fail")
		mqueue.send(line, "quiet")
		try.equal(mqueue.call(line, "size"), 0)
	end)

	try.ours("mqueue: what a send should not do is logged, and the line goes on", function()
		local mqueue = require "skynet.mqueue"
		local line = try.start "line"
		local log = try.log()
		mqueue.send(line, "fail")
		try.contains(log.wait "throw an error", "the queue's function fails")
		mqueue.send(line, "loud")
		log.wait "return something"
		try.equal(mqueue.call(line, "size"), 0)
	end)
end)
