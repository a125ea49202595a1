-- agent: talks to the clients it is given by the watchdog, each of which is in one room at a time.
local skynet = require "skynet"
local sharedata = require "skynet.sharedata"
local driver = require "skynet.socketdriver"
local netpack = require "skynet.netpack"
local protocol = require "protocol"

local gate = math.tointeger(...)
local host = protocol.from_client:host "package"
local settings, halls
local clients = {}	-- fd -> { name, room, hall }; empty until it has joined a room

local function kick(fd, why)
	skynet.error(("connection %d: %s"):format(fd, why))
	skynet.send(gate, "lua", "kick", fd)
end

-- Every room is in one hall.
local function hall_of(room)
	local sum = 0
	for i = 1, #room do
		sum = sum * 31 + room:byte(i)
	end
	return halls[sum % #halls + 1]
end

local function is_name(text)
	return type(text) == "string" and #text <= settings.max_name_bytes and text:find "^%g+$" ~= nil
end

local function leave(fd, client)
	if client.hall then
		skynet.call(client.hall, "lua", "leave", client.room, fd)
		client.hall, client.room = nil, nil
	end
end

local request = {}

function request.join(fd, client, what)
	if not is_name(what.name) or not is_name(what.room) then
		return { refused = "a name has 1 to 32 characters, and no space" }
	end
	if client.room == what.room then
		return { refused = "you are in that room" }
	end
	local hall = hall_of(what.room)
	local people, refused = skynet.call(hall, "lua", "join", what.room, fd, what.name)
	if people then
		leave(fd, client)
		client.hall, client.room = hall, what.room
	end
	return { people = people, refused = refused }
end

function request.say(fd, client, what)
	local text = what.text
	if client.hall and text and #text <= settings.max_text_bytes then
		skynet.send(client.hall, "lua", "say", client.room, fd, text)
	end
end

local function serve(fd, client, bytes)
	local kind, name, what, respond = host:dispatch(bytes)
	assert(kind == "REQUEST", "not a request")
	local answer = request[name](fd, client, what or {})
	if respond then
		driver.send(fd, netpack.pack(respond(answer)))
	end
end

-- A client's requests, one after the other.
local function take(fd, bytes)
	local client = clients[fd]
	if not client then
		return
	end
	local ok, err = pcall(client.queue, serve, fd, client, bytes)
	if not ok then
		kick(fd, err)
	end
end

skynet.register_protocol {
	name = "client",
	id = skynet.PTYPE_CLIENT,
	unpack = skynet.tostring,
	dispatch = function(fd, _, bytes)
		skynet.ignoreret()	-- the session is the connection
		take(fd, bytes)
	end,
}

local command = {}

function command.start(all_halls)
	halls = all_halls
	skynet.ret()
end

function command.open(fd)
	local client = { queue = require "skynet.queue"() }
	clients[fd] = client
	skynet.send(gate, "lua", "forward", fd)
	skynet.timeout(settings.join_cs, function()
		if clients[fd] == client and not client.hall then
			kick(fd, "has not joined a room")
		end
	end)
end

function command.close(fd)
	local client = clients[fd]
	clients[fd] = nil
	if client then
		client.queue(leave, fd, client)
	end
end

skynet.start(function()
	settings = sharedata.query "chat"
	skynet.dispatch("lua", function(_, _, cmd, ...)
		command[cmd](...)
	end)
end)
