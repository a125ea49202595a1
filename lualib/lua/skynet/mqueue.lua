-- skynet.mqueue: messages that a service handles strictly one after the other, each to its end. Deprecated: skynet.queue
-- does the same for any handler.
local skynet = require "skynet"
local queue = require "skynet.queue"

local mqueue = {}

local one_by_one = queue()
local registered = {}	-- the token of the first message, when it comes before mqueue.register
local handler
local waiting = 0

local function answer(session, source, ok, ...)
	if session ~= 0 then
		skynet.retpack(ok, ...)
	elseif not ok then
		skynet.error(("%s send a message to %s throw an error : %s"):format(skynet.address(source),
			skynet.address(skynet.self()), ...))
	elseif select("#", ...) > 0 then
		skynet.error(("%s send a message to %s return something"):format(skynet.address(source),
			skynet.address(skynet.self())))
	end
end

local function handle(session, source, ...)
	while not handler do
		skynet.wait(registered)
	end
	waiting = waiting - 1
	answer(session, source, pcall(handler, ...))
end

skynet.register_protocol {
	name = "queue",
	id = skynet.PTYPE_QUEUE,
	pack = skynet.pack,
	unpack = skynet.unpack,
	dispatch = function(...)
		waiting = waiting + 1
		one_by_one(handle, ...)
	end,
}

function mqueue.register(f)
	assert(not handler)
	handler = f
	skynet.wakeup(registered)
end

local function result(ok, ...)
	if not ok then
		error(..., 0)
	end
	return ...
end

function mqueue.call(addr, ...)
	return result(skynet.call(addr, "queue", ...))
end

function mqueue.send(addr, ...)
	return skynet.send(addr, "queue", ...)
end

function mqueue.size()
	return waiting
end

return mqueue
