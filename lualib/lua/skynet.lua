-- skynet: the module that every service requires. What a message passes through is native (skynet.core); here is what
-- happens once per service, or rarely.
local core = require "skynet.core"
local skynet_require = require "skynet.require"

local assert, type, math_type = assert, type, math.type

local skynet = {
	PTYPE_TEXT = 0,
	PTYPE_RESPONSE = 1,
	PTYPE_MULTICAST = 2,
	PTYPE_CLIENT = 3,
	PTYPE_SYSTEM = 4,
	PTYPE_HARBOR = 5,
	PTYPE_SOCKET = 6,
	PTYPE_ERROR = 7,
	PTYPE_QUEUE = 8,	-- used in deprecated mqueue
	PTYPE_DEBUG = 9,
	PTYPE_LUA = 10,
	PTYPE_SNAX = 11,
	PTYPE_TRACE = 12,

	cache = require "skynet.codecache",
	_proto = core.protocols,

	-- requests and answers
	send = core.post,
	rawsend = core.rawpost,
	call = core.call,
	rawcall = core.rawcall,
	tracecall = core.tracecall,
	ret = core.ret,
	retpack = core.retpack,
	response = core.response,
	context = core.context,
	ignoreret = core.ignoreret,
	genid = core.genid,

	-- messages as bytes
	pack = core.pack,
	packstring = core.packstring,
	unpack = core.unpack,
	tostring = core.tostring,
	trash = core.trash,

	-- coroutines and time
	fork = core.fork,
	sleep = core.sleep,
	wait = core.wait,
	wakeup = core.wakeup,
	yield = core.yield,
	timeout = core.timeout,
	trace_timeout = core.trace_timeout,
	now = core.now,
	hpc = core.hpc,
	pcall = pcall,

	-- this service
	self = core.self,
	error = core.error,
	trace = core.start_trace,
	tracetag = core.tracetag,
	tracelog = core.trace,
	term = core.term,
	init = skynet_require.init,
	dispatch_message = core.dispatch_message,
}

local protocols = core.protocols

-- Protocols ---------------------------------------------------------------------------------------------------------

function skynet.register_protocol(class)
	local name, id = class.name, class.id
	assert(protocols[name] == nil and protocols[id] == nil)
	assert(type(name) == "string" and type(id) == "number" and id >= 0 and id <= 255)
	protocols[name] = class
	protocols[id] = class
end

function skynet.dispatch(typename, func)
	local class = protocols[typename]
	if not func then
		return class and class.dispatch
	end
	local previous = class.dispatch
	class.dispatch = func
	return previous
end

skynet.register_protocol { name = "lua", id = skynet.PTYPE_LUA, pack = core.pack, unpack = core.unpack }
skynet.register_protocol { name = "response", id = skynet.PTYPE_RESPONSE }
skynet.register_protocol { name = "error", id = skynet.PTYPE_ERROR, unpack = function(...) return ... end }

function skynet.traceproto(prototype, flag)
	local class = assert(protocols[prototype])
	class.trace = flag	-- true: trace every request; false: none; nil: as the caller wishes
end

local function unknown_session(session, source)
	error(("Unknown session : %d from %x"):format(session, source))
end

local function unknown_request(session, source, msg, sz, prototype)
	core.error(("Unknown request (%s): %s"):format(prototype, core.tostring(msg, sz)))
	unknown_session(session, source)
end

local function unknown_response(session, source, msg, sz)
	core.error(("Response message : %s"):format(core.tostring(msg, sz)))
	unknown_session(session, source)
end

-- Installs a hook; returns the one it replaces.
skynet.dispatch_unknown_request = core.dispatch_unknown_request
skynet.dispatch_unknown_response = core.dispatch_unknown_response
core.dispatch_unknown_request(unknown_request)
core.dispatch_unknown_response(unknown_response)

function skynet.redirect(dest, source, typename, ...)
	return core.redirect(dest, source, protocols[typename].id, ...)
end

-- Several requests at once, loaded when first used.
function skynet.request(...)
	skynet.request = require "skynet.request"
	return skynet.request(...)
end

-- Addresses, environment, counters ------------------------------------------------------------------------------------

function skynet.localname(name)
	return core.addresscommand("QUERY", name)
end

function skynet.address(addr)
	if type(addr) == "number" then
		return (":%08x"):format(addr)
	end
	return tostring(addr)
end

skynet.harbor = core.harbor

function skynet.getenv(key)
	return (core.command("GETENV", key))
end

function skynet.setenv(key, value)
	assert(core.command("GETENV", key) == nil, "Can't setenv exist key : " .. key)
	core.command("SETENV", key .. " " .. tostring(value))
end

local starttime

function skynet.starttime()
	starttime = starttime or core.intcommand "STARTTIME"
	return starttime
end

function skynet.time()
	return core.now() / 100 + skynet.starttime()
end

function skynet.stat(what)
	return core.intcommand("STAT", what)
end

function skynet.mqlen()
	return core.intcommand("STAT", "mqlen")
end

function skynet.endless()
	return core.intcommand("STAT", "endless") == 1
end

-- Tasks ---------------------------------------------------------------------------------------------------------------

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
		thread = require "skynet.tasks".find(thread)
	end
	if thread then
		return core.killthread(thread)
	end
end

-- Starting services ---------------------------------------------------------------------------------------------------

function skynet.newservice(name, ...)
	return skynet.call(".launcher", "lua", "LAUNCH", "snlua", name, ...)
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

-- The life of this service --------------------------------------------------------------------------------------------

-- Asks for a limit of this service's memory; possible once, in the main chunk.
function skynet.memlimit(bytes)
	assert(math_type(bytes) == "integer")
	core.memlimit(bytes)
	skynet.memlimit = nil
end

function skynet.exit()
	core.clear_forks()
	skynet.send(".launcher", "lua", "REMOVE", core.self(), false)
	core.leave()
end

local init_thread

-- The thread of the start function while it runs.
function core.init_thread()
	return init_thread
end

function skynet.init_service(start)
	local function main()
		skynet_require.init_all()
		start()
	end
	local ok, err = xpcall(main, debug.traceback)
	init_thread = nil
	if ok then
		skynet.send(".launcher", "lua", "LAUNCHOK")
	else
		core.error("init service failed: " .. tostring(err))
		skynet.send(".launcher", "lua", "ERROR")
		skynet.exit()
	end
end

function skynet.start(start_func)
	core.callback(skynet.dispatch_message)
	init_thread = skynet.timeout(0, function()
		skynet.init_service(start_func)
		init_thread = nil
	end)
end

require "skynet.debug".init(skynet, { dispatch = skynet.dispatch_message })

return skynet
