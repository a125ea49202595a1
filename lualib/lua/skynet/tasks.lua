-- skynet.tasks: what skynet.task, skynet.uniqtask and skynet.killthread tell and find; loaded when first used.
local core = require "skynet.core"

local traceback = debug.traceback

local M = {}

-- What waits under a session, in text: a timer has no coroutine yet, unless somebody took what skynet.timeout returned.
local function show(waiter, made)
	if not waiter then
		return "BREAK"	-- cancelled
	end
	return made or (type(waiter) == "thread" and traceback(waiter)) or "stack traceback:"
end

-- Such a timer goes by the address of what it calls.
local function name_of(waiter)
	return waiter and ("thread: %p"):format(waiter) or "BREAK"
end

local function by_session(session)
	local waiters, made = core.task_list()
	if waiters[session] == nil then
		return "No session"
	end
	return show(waiters[session], made[session])
end

function M.task(ret)
	local kind = type(ret)
	if ret == "init" then
		local thread = require "skynet.require".init_thread
		if thread then
			return traceback(thread)
		end
	elseif kind == "table" then
		local waiters, made = core.task_list()
		for session, waiter in pairs(waiters) do
			ret[("%s session: %d"):format(name_of(waiter), session)] = show(waiter, made[session])
		end
	elseif kind == "number" then
		return by_session(ret)
	elseif kind == "thread" then
		return core.task_session(ret)
	end
end

function M.uniqtask()
	local groups = {}
	local waiters, made = core.task_list()
	for session, waiter in pairs(waiters) do
		local trace = show(waiter, made[session])
		local group = groups[trace] or { count = 0 }
		groups[trace] = group
		group.count = group.count + 1
		if group.count < 10 then
			table.insert(group, session)
		end
	end
	local ret = {}
	for trace, group in pairs(groups) do
		table.sort(group)
		local more = group.count > 10 and "..." or ""
		ret[("%d\tsessions:[%s%s]\n"):format(group.count, table.concat(group, ","), more)] = trace
	end
	return ret
end

-- Ends a waiting thread, or a timer, whose name matches a pattern; what it has ended.
function M.kill(pattern)
	for session, waiter in pairs((core.task_list())) do
		local name = name_of(waiter)
		if waiter and name:find(pattern) then
			local is_thread = type(waiter) == "thread"
			return core.killthread(is_thread and waiter or session) and (is_thread and waiter or name)
		end
	end
end

return M
