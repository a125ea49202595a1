-- skynet.rest: the part of the module skynet that few services use. Its first use loads it. What the service has put into
-- `skynet` itself stays.
local skynet = package.loaded.skynet
local own = {}
for k, v in next, skynet do
	own[k] = v
end

local core = require "skynet.core"

local assert, type, math_type = assert, type, math.type

local protocols = core.protocols

local ptype = {
	TEXT = 0,
	RESPONSE = 1,
	MULTICAST = 2,
	CLIENT = 3,
	SYSTEM = 4,
	HARBOR = 5,
	SOCKET = 6,
	ERROR = 7,
	QUEUE = 8,	-- used in deprecated mqueue
	DEBUG = 9,
	LUA = 10,
	SNAX = 11,
	TRACE = 12,
}
for name, id in pairs(ptype) do
	skynet["PTYPE_" .. name] = id
end

function skynet.redirect(dest, source, typename, ...)
	return core.redirect(dest, source, protocols[typename].id, ...)
end

function skynet.traceproto(prototype, flag)
	local class = assert(protocols[prototype])
	class.trace = flag	-- true: trace every request; false: none; nil: as the caller wishes
end

-- Several requests at once.
function skynet.request(...)
	return require "skynet.request"(...)
end

function skynet.task(ret)
	if ret == nil then
		return core.task_count()
	end
	return require "skynet.tasks".task(ret)
end

function skynet.uniqtask()
	return require "skynet.tasks".uniqtask()
end

function skynet.killthread(thread)
	if type(thread) == "string" then
		return require "skynet.tasks".kill(thread)
	elseif type(thread) == "thread" then
		return core.killthread(thread)
	end
end

function skynet.uniqueservice(global, ...)
	if global == true then
		return assert(skynet.call(".service", "lua", "GLAUNCH", ...))
	end
	return assert(skynet.call(".service", "lua", "LAUNCH", global, ...))
end

function skynet.queryservice(global, ...)
	if global == true then
		return assert(skynet.call(".service", "lua", "GQUERY", ...))
	end
	return assert(skynet.call(".service", "lua", "QUERY", global, ...))
end

-- Asks for a limit of this service's memory; possible once, in the main chunk.
function skynet.memlimit(bytes)
	assert(math_type(bytes) == "integer")
	core.memlimit(bytes)
	skynet.memlimit = nil
end

-- The function whose result answers the debug command INFO.
function skynet.info_func(f)
	core.info_func = f
end

for k, v in next, own do
	skynet[k] = v
end
