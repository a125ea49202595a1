-- skynet.tasks: what skynet.task, skynet.uniqtask and skynet.killthread tell and find; loaded when first used.
local core = require "skynet.core"

local traceback = debug.traceback

local M = {}

local function show(waiter)
	local kind = type(waiter)
	if kind == "thread" then
		return traceback(waiter)
	elseif kind == "function" then
		return "stack traceback:"	-- a timer, whose thread is chosen when it expires
	end
	return waiter or "BREAK"	-- the creation traceback of a timer, or a wait that was cancelled
end

-- A timer's function stands for its thread.
local function name_of(waiter)
	return (tostring(waiter or "BREAK"):gsub("^function", "thread"))
end

local function by_session(session)
	local waiter = core.task_list()[session]
	if waiter == nil then
		return "No session"
	end
	return show(waiter)
end

function M.task(ret)
	local kind = type(ret)
	if ret == "init" then
		local thread = require "skynet.require".init_thread
		if thread then
			return traceback(thread)
		end
	elseif kind == "table" then
		for session, waiter in pairs(core.task_list()) do
			ret[("%s session: %d"):format(name_of(waiter), session)] = show(waiter)
		end
	elseif kind == "number" then
		return by_session(ret)
	elseif kind == "thread" then
		return core.task_session(ret)
	end
end

function M.uniqtask()
	local groups = {}
	for session, waiter in pairs(core.task_list()) do
		local trace = show(waiter)
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

-- Ends a waiting thread, or a timer, whose text matches a pattern; what it has ended.
function M.kill(pattern)
	for session, waiter in pairs(core.task_list()) do
		local kind, name = type(waiter), name_of(waiter)
		if kind == "thread" and name:find(pattern) then
			return core.killthread(waiter)
		elseif kind == "function" and name:find(pattern) then
			return core.killthread(session) and name
		end
	end
end

return M
