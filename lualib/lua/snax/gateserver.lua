-- snax.gateserver: a service that accepts connections and takes frames with a length of two bytes from them.
local skynet = require "skynet"
local netpack = require "skynet.netpack"
local driver = require "skynet.socketdriver"

local gateserver = {}

local MAX_CLIENTS = 1024

-- What a connection is, by its id; what is not here was refused, or is gone.
local OPEN = "open"
local HALF = "half-closed"	-- by the peer; what the handler writes still goes out until it closes, too
local CLOSING = "closing"	-- by us, or it has failed; its end has not been reported yet
local connection = {}
local clients = 0	-- those that are not half-closed

-- Reads from a connection, from now on.
function gateserver.openclient(fd)
	if connection[fd] == OPEN then
		driver.start(fd)
	end
end

-- Closes a connection, once what it was given has been sent. `disconnect` is called afterwards, unless it was.
function gateserver.closeclient(fd)
	local state = connection[fd]
	if state == OPEN then
		connection[fd] = CLOSING
		driver.close(fd)
	elseif state == HALF then
		connection[fd] = nil
		driver.close(fd)
	end
end

function gateserver.start(handler)
	assert(handler.message)
	assert(handler.connect)

	local listener, opening	-- the listening socket; { co, address, port } while it is being opened
	local max_clients, nodelay
	-- the frames of connections that have not been taken; freed with this state
	local frames = setmetatable({}, { __gc = function(self) netpack.clear(self.queue) end })
	local command, events = {}, {}

	function command.open(source, conf)
		assert(not listener)
		local address, port = conf.address or "0.0.0.0", conf.port
		max_clients = conf.maxclient or MAX_CLIENTS
		nodelay = conf.nodelay
		skynet.error(("Listen on %s %s"):format(address, port))
		if not port then
			address, port = address:match "^(.+):(%d+)$"
			port = assert(math.tointeger(port), "Need a port")
		end
		listener = driver.listen(address, port, conf.options or conf.backlog)
		opening = { thread = coroutine.running() }
		driver.start(listener)
		skynet.wait(opening.thread)
		conf.address, conf.port = opening.address, opening.port
		opening = nil
		assert(conf.address, "Closed while opening")
		if handler.open then
			return handler.open(source, conf)
		end
	end

	function command.close()
		assert(listener)
		driver.close(listener)
		listener = nil
		if opening then
			skynet.wakeup(opening.thread)
		end
	end

	local function dispatch(fd, msg, sz)
		if connection[fd] == OPEN then
			handler.message(fd, msg, sz)
		else
			skynet.error(("Drop message from fd (%d) : %s"):format(fd, netpack.tostring(msg, sz)))
		end
	end

	events.data = dispatch

	-- Several frames. Should the handler suspend, another coroutine goes on with the rest.
	function events.more()
		local fd, msg, sz = netpack.pop(frames.queue)
		if fd then
			skynet.fork(events.more)
			dispatch(fd, msg, sz)
			for fd, msg, sz in netpack.pop, frames.queue do
				dispatch(fd, msg, sz)
			end
		end
	end

	function events.open(fd, address)
		if clients + 1 >= max_clients then
			return driver.shutdown(fd)
		end
		if nodelay then
			driver.nodelay(fd)
		end
		connection[fd] = OPEN
		clients = clients + 1
		handler.connect(fd, address)
	end

	function events.close(fd)
		local state = connection[fd]
		if state ~= OPEN and state ~= CLOSING then
			return
		end
		connection[fd] = state == OPEN and HALF or nil
		clients = clients - 1
		if handler.disconnect then
			handler.disconnect(fd)
		end
	end

	function events.error(fd, text)
		if fd == listener then
			skynet.error("gateserver accept error:", text)
			return
		end
		driver.shutdown(fd)
		local state = connection[fd]
		if state == OPEN then
			connection[fd] = CLOSING	-- its end follows
		elseif state == HALF then
			connection[fd] = nil
		end
		if state and handler.error then
			handler.error(fd, text)
		end
	end

	function events.warning(fd, size_k)
		if handler.warning then
			handler.warning(fd, size_k)
		end
	end

	-- Connected, listening or started.
	function events.init(fd, address, port)
		if fd == listener and opening then
			opening.address, opening.port = address, port
			skynet.wakeup(opening.thread)
		end
	end

	skynet.register_protocol {
		name = "socket",
		id = skynet.PTYPE_SOCKET,
		unpack = function(msg, sz)
			return netpack.filter(frames.queue, msg, sz)
		end,
		dispatch = function(_, _, queue, event, ...)
			frames.queue = queue
			if event then
				events[event](...)
			end
		end,
	}

	local function init()
		skynet.dispatch("lua", function(_, source, cmd, ...)
			local f = command[cmd]
			if f then
				skynet.retpack(f(source, ...))
			else
				skynet.retpack(handler.command(cmd, source, ...))
			end
		end)
	end

	if handler.embed then
		init()
	else
		skynet.start(init)
	end
end

return gateserver
