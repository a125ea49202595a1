-- skynet: the module that every service requires. What a message passes through is native (skynet.core); here is what
-- every service does once. The rest comes with its first use (skynet.rest), because a thousand services would carry it
-- otherwise.
local core = require "skynet.core"
local skynet_require = require "skynet.require"

local assert, type = assert, type

local protocols = core.protocols

-- call, send, ret, sleep, fork, pack, now, ...; and the rest comes with the first name that is not here yet.
local skynet = core.install(skynet_require.stock)

skynet.cache = require "skynet.codecache"
skynet._proto = protocols
skynet.pcall = pcall
skynet.init = skynet_require.init

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

skynet.register_protocol { name = "lua", id = 10, pack = skynet.pack, unpack = skynet.unpack }
skynet.register_protocol { name = "response", id = 1 }
skynet.register_protocol { name = "error", id = 7 }
skynet.register_protocol {
	name = "debug",
	id = 9,
	pack = skynet.pack,
	unpack = skynet.unpack,
	dispatch = function(...)
		skynet_require.stock "skynet.debug".dispatch(...)
	end,
}

function skynet.newservice(name, ...)
	return skynet.call(".launcher", "lua", "LAUNCH", "snlua", name, ...)
end

function skynet.exit()
	core.clear_forks()
	skynet.send(".launcher", "lua", "REMOVE", skynet.self(), false)
	core.leave()
end

function skynet.init_service(start)
	local ok, err = xpcall(function()
		skynet_require.init_all()
		start()
	end, debug.traceback)
	skynet_require.init_thread = nil
	if ok then
		skynet.send(".launcher", "lua", "LAUNCHOK")
	else
		skynet.error("init service failed: " .. tostring(err))
		skynet.send(".launcher", "lua", "ERROR")
		skynet.exit()
	end
end

function skynet.start(start_func)
	core.callback(skynet.dispatch_message)
	skynet_require.init_thread = skynet.timeout(0, function()
		skynet.init_service(start_func)
	end)
end

return skynet
