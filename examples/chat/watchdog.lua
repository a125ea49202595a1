-- watchdog: opens the gate, hands each new connection to an agent, and drops those that do not keep up.
local skynet = require "skynet"
local sharedata = require "skynet.sharedata"
local driver = require "skynet.socketdriver"

local settings, gate
local agents = {}

local function agent_of(fd)
	return agents[fd % #agents + 1]
end

local events = {}

function events.open(fd)
	skynet.send(agent_of(fd), "lua", "open", fd)
end

function events.close(fd)
	skynet.send(agent_of(fd), "lua", "close", fd)
	skynet.send(gate, "lua", "kick", fd)
end

function events.error(fd, text)
	skynet.error(("connection %d: %s"):format(fd, text))
end

function events.warning(fd, kib)
	if kib >= settings.unsent_kib then
		skynet.error(("connection %d: %d KiB wait to be sent"):format(fd, kib))
		driver.shutdown(fd)	-- a kick would wait until they are
	end
end

-- Whoever closes another service's connection hears of its end; so does the gate, which tells us.
skynet.register_protocol {
	name = "socket",
	id = skynet.PTYPE_SOCKET,
	unpack = driver.unpack,
	dispatch = function() end,
}

local command = {}

function command.open(address, port)
	skynet.retpack(skynet.call(gate, "lua", "open", {
		address = address,
		port = port,
		maxclient = settings.max_clients,
		nodelay = true,
		backlog = 1024,
	}))
end

function command.socket(event, ...)
	local f = events[event]
	if f then
		f(...)
	end
end

skynet.start(function()
	settings = sharedata.query "chat"
	gate = skynet.newservice "gate"
	local halls = {}
	for i = 1, settings.halls do
		halls[i] = skynet.newservice "hall"
	end
	for i = 1, settings.agents do
		agents[i] = skynet.newservice("agent", gate)
		skynet.call(agents[i], "lua", "start", halls)
	end
	skynet.dispatch("lua", function(_, _, cmd, ...)
		command[cmd](...)
	end)
end)
