-- gate: accepts connections for a watchdog, which hears of each, and hands their frames to it or to the agents it names.
local skynet = require "skynet"
local gateserver = require "snax.gateserver"

local watchdog
local connection = {}	-- fd -> { agent, client }: who gets its frames, and in whose name

skynet.register_protocol { name = "client", id = skynet.PTYPE_CLIENT }

local function tell(...)
	skynet.send(watchdog, "lua", "socket", ...)
end

local handler = {}

function handler.open(source, conf)
	watchdog = conf.watchdog or source
	return conf.address, conf.port
end

function handler.message(fd, msg, sz)
	local c = connection[fd]
	if c and c.agent then
		skynet.redirect(c.agent, c.client, "client", fd, msg, sz)
	else
		tell("data", fd, skynet.tostring(msg, sz))
		skynet.trash(msg, sz)
	end
end

function handler.connect(fd, address)
	connection[fd] = {}
	tell("open", fd, address)
end

function handler.disconnect(fd)
	connection[fd] = nil
	tell("close", fd)
end

function handler.error(fd, text)
	connection[fd] = nil
	tell("error", fd, text)
end

function handler.warning(fd, size_k)
	tell("warning", fd, size_k)
end

local command = {}

function command.forward(source, fd, client, address)
	local c = assert(connection[fd])
	c.client = client or skynet.self()
	c.agent = address or source
	gateserver.openclient(fd)
end

function command.accept(_, fd)
	local c = assert(connection[fd])
	c.agent, c.client = nil, nil
	gateserver.openclient(fd)
end

function command.kick(_, fd)
	gateserver.closeclient(fd)
end

function handler.command(cmd, source, ...)
	return assert(command[cmd])(source, ...)
end

gateserver.start(handler)
