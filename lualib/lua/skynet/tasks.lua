-- skynet.tasks: what skynet.task, skynet.uniqtask and skynet.killthread tell and find; loaded when first used.
local core = require "skynet.core"

local traceback = debug.traceback

local M = {}

local function show(waiter)
	if type(waiter) == "thread" then
		return traceback(waiter)
	end
	return waiter or "BREAK"	-- the creation traceback of a timer, or a wait that was cancelled
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
		return thread and traceback(thread)
	elseif kind == "table" then
		for session, waiter in pairs(core.task_list()) do
			ret[("%s session: %d"):format(waiter, session)] = show(waiter)
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
		if waiter then
			local trace = show(waiter)
			local group = groups[trace] or { count = 0 }
			groups[trace] = group
			group.count = group.count + 1
			if group.count < 10 then
				table.insert(group, session)
			end
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

-- A waiting thread whose text matches a pattern.
function M.find(pattern)
	for _, waiter in pairs(core.task_list()) do
		if type(waiter) == "thread" and tostring(waiter):find(pattern) then
			return waiter
		end
	end
end

return M
