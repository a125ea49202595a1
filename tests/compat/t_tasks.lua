-- Coroutines of a service seen from outside: killthread, task, uniqtask, trace_timeout.
local skynet = require "skynet"
local try = require "try"

local roles = {}
function roles.server()
	local closed = 0
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, cmd, ...)
			if cmd == "wait here" then
				local _ <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
				skynet.wait()
			elseif cmd == "kill" then
				-- every other suspended thread
				local tasks, n = {}, 0
				skynet.task(tasks)
				for key in pairs(tasks) do
					local thread = key:match "^thread: (0x%x+) session: %d+$"
					if thread and skynet.killthread(thread) then n = n + 1 end
				end
				skynet.retpack(n, closed)
			else
				skynet.retpack(cmd, ...)
			end
		end)
	end)
end
if try.role(roles, ...) then return end

local function waiting(token)
	local co = skynet.fork(skynet.wait, token)
	skynet.yield()
	return co
end

try.main(function()
	try.case("task() counts, task(session), task(thread) and task(table) describe", function()
		local before = skynet.task()
		local token = {}
		local co = waiting(token)
		try.equal(skynet.task(), before + 1)
		local session = skynet.task(co)
		try.equal(math.type(session), "integer")
		try.contains(skynet.task(session), "stack traceback:")
		try.equal(skynet.task(0x7fffffff), "No session")
		local all = {}
		try.equal(select("#", skynet.task(all)), 0)
		local key = tostring(co) .. " session: " .. session
		try.contains(all[key], "stack traceback:")
		skynet.wakeup(token)
		skynet.yield()
		try.equal(skynet.task(), before)
		try.equal(skynet.task(co), nil)
	end)

	try.case("uniqtask groups the same tracebacks and lists nine sessions", function()
		local tokens = {}
		local function hold(token) skynet.wait(token) end
		for i = 1, 30 do
			tokens[i] = {}
			skynet.fork(hold, tokens[i])
		end
		skynet.yield()
		local found
		for key, trace in pairs(skynet.uniqtask()) do
			local count, sessions = key:match "^(%d+)\tsessions:%[([%d,.]+)%]\n$"
			try.yes(count, "key " .. key)
			if tonumber(count) > 10 then
				found = true
				try.contains(trace, "t_tasks.lua")
				local listed = select(2, sessions:gsub("%d+", ""))
				try.equal(listed, 9)
				try.matches(sessions, "%.%.%.$")
			end
		end
		try.yes(found, "the large group")
		for _, token in ipairs(tokens) do skynet.wakeup(token) end
		skynet.yield()
	end)

	try.case("killthread: an object, a part of its name, one not started, none", function()
		local closed = {}
		local function body(name)
			local _ <close> = setmetatable({}, { __close = function() closed[name] = true end })
			skynet.wait(name)
		end
		local a, b = skynet.fork(body, "a"), skynet.fork(body, "b")
		skynet.yield()
		try.equal(skynet.killthread(a), a)
		try.yes(closed.a)
		try.equal(skynet.killthread(tostring(b):match "0x%x+"), b)
		try.yes(closed.b)
		try.equal(skynet.killthread(b), nil)
		try.equal(skynet.killthread "0xnot a thread", nil)
		local ran
		local c = skynet.fork(function() ran = true end)
		try.equal(skynet.killthread(c), c)
		skynet.yield()
		try.no(ran, "a fork that was removed")
		try.equal(skynet.wakeup "a", nil)
	end)

	try.case("killthread of a handler: its requester gets an error, its variables are closed", function()
		local s = try.start "server"
		local first = try.later(skynet.call, s, "lua", "wait here")
		local second = try.later(skynet.call, s, "lua", "wait here")
		try.until_true(function() return skynet.call(s, "debug", "TASK") and next(skynet.call(s, "debug", "TASK")) end)
		local killed, closed = skynet.call(s, "lua", "kill")
		try.equal(killed, 2)
		try.equal(closed, 2)
		for _, result in ipairs { first, second } do
			local ok, err = result()
			try.equal(ok, false)
			try.contains(err, "call failed")
		end
		try.equal(skynet.call(s, "lua", "alive"), "alive")
	end)

	try.case("killthread of a caller: the late answer disturbs nobody", function()
		local log = try.log()
		local s = try.start "server"
		local co = skynet.fork(skynet.call, s, "lua", "answer")
		skynet.yield()
		-- the answer may be here already: then there is nothing left to kill
		skynet.killthread(co)
		try.equal(skynet.call(s, "lua", "x"), "x")
		skynet.yield()
		try.no(log.find "Unknown session")
	end)

	try.case("debug KILLTASK", function()
		local s = try.start "server"
		local result = try.later(skynet.call, s, "lua", "wait here")
		local name = try.until_true(function()
			return (next(skynet.call(s, "debug", "TASK")))
		end):match "0x%x+"
		try.equal(skynet.call(s, "debug", "KILLTASK", "no such thread"), "Not found")
		try.equal(skynet.call(s, "debug", "KILLTASK", name), nil)
		try.equal(result(), false)
	end)

	try.ours("trace_timeout: task shows where a timer was made", function()
		skynet.trace_timeout(true)
		local co = skynet.timeout(500, function() end)
		skynet.trace_timeout(false)
		local session = try.yes(skynet.task(co))
		local text = skynet.task(session)
		try.matches(text, "TIMER %d+%+500 : ")
		try.contains(text, "t_tasks.lua")
	end)

	try.case("a thread that ended is in no list", function()
		local co = skynet.fork(function() skynet.yield() end)
		skynet.yield()
		skynet.yield()
		local all = {}
		skynet.task(all)
		for key in pairs(all) do try.no(key:find(tostring(co), 1, true), key) end
	end)
end)
