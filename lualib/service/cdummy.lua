-- cdummy: stands for cslave (.cslave) on a node without a network. Global names live in this process alone.
local skynet = require "skynet"
require "skynet.manager"

local harbor_service	-- the native side, which delivers messages to global names
local names = {}	-- global name -> handle
local waiting = {}	-- global name -> responses of those who ask for it
local command = {}

local function tell_harbor(handle, name)
	skynet.redirect(harbor_service, handle, "harbor", 0, "N " .. name)
end

-- Never answers: names are registered with a send.
function command.REGISTER(name, handle)
	assert(not names[name], "this global name has an owner")
	names[name] = handle
	tell_harbor(handle, name)
	for _, answer in ipairs(waiting[name] or {}) do
		answer(true, handle)
	end
	waiting[name] = nil
end

function command.QUERYNAME(name)
	local handle = names[name]
	if name:byte() == 46 then	-- "."
		handle = skynet.localname(name)
	end
	if handle then
		return skynet.retpack(handle)
	end
	local list = waiting[name] or {}
	waiting[name] = list
	list[#list + 1] = skynet.response()
end

function command.LINK()
	skynet.ret()
end

-- Never answers: no other node will ever connect.
function command.CONNECT()
	skynet.ignoreret()
	skynet.error "Can't connect to other harbor in single node mode"
end

skynet.register_protocol {
	name = "harbor",
	id = skynet.PTYPE_HARBOR,
	pack = function(...)
		return ...
	end,
	unpack = skynet.tostring,
}

-- What the native side asks (Q name) is answered by REGISTER; what it reports (D id) cannot happen here.
skynet.register_protocol {
	name = "text",
	id = skynet.PTYPE_TEXT,
	unpack = skynet.tostring,
	dispatch = function() end,
}

skynet.dispatch("lua", function(_, _, name, ...)
	local f = command[name]
	if not f then
		error(("%s needs a network of nodes"):format(name))
	end
	f(...)
end)

skynet.start(function()
	assert(tonumber(skynet.getenv "harbor") == 0)
	harbor_service = assert(skynet.launch("harbor", 0, skynet.self()))
end)
