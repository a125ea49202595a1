-- skynet.coroutine: coroutines of a service's own, which may call what suspends the service's task.
-- A native that suspends yields core.suspended first. `resume` sees it, suspends the task that it runs in as well, and goes
-- on with the inner coroutine when the task does; so the two layers never meet.
local core = require "skynet.core"

local resume, yield = coroutine.resume, coroutine.yield
local status, running = coroutine.status, coroutine.running
local close = coroutine.close

local M = {
	yield = yield,
	running = running,
	isyieldable = coroutine.isyieldable,
}

-- coroutine made here -> the skynet thread that resumed it last; false before
local threads = setmetatable({}, { __mode = "k" })
-- coroutine made here -> true while it is suspended inside skynet
local blocked = setmetatable({}, { __mode = "k" })

function M.create(f)
	local co = coroutine.create(f)
	threads[co] = false
	return co
end

-- Passes on what the coroutine gave, unless skynet has suspended it: then the task waits with it and goes on.
local function pass(co, ok, ...)
	if ok and ... == core.suspended then
		blocked[co] = true
		core.suspend()
		blocked[co] = nil
		return pass(co, resume(co))
	end
	return ok, ...
end

function M.resume(co, ...)
	local thread = threads[co]
	if thread == nil then
		return false, "cannot resume none skynet coroutine"
	end
	if blocked[co] then
		return false, "cannot resume a skynet coroutine suspend by skynet framework"
	end
	threads[co] = core.thread()
	return pass(co, resume(co, ...))
end

function M.status(co)
	local s = status(co)
	if s == "suspended" and blocked[co] then
		return "blocked"
	end
	return s
end

function M.thread(co)
	co = co or running()
	local thread = threads[co]
	if thread == nil then
		return co, true
	end
	return thread, false
end

local function check(co, ok, ...)
	if ok then
		return ...
	end
	local err = ...
	if type(err) == "string" and threads[co] ~= nil then
		close(co)
	end
	error(err, 0)
end

function M.wrap(f)
	local co = M.create(f)
	return function(...)
		return check(co, M.resume(co, ...))
	end
end

function M.close(co)
	if blocked[co] then
		error "cannot close a skynet coroutine suspend by skynet framework"
	end
	return close(co)
end

return M
