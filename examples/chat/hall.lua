-- hall: rooms, and who is in them. What is said in a room is encoded once, into one buffer that all its connections send.
local skynet = require "skynet"
local sharedata = require "skynet.sharedata"
local driver = require "skynet.socketdriver"
local netpack = require "skynet.netpack"
local protocol = require "protocol"

local settings
local host = protocol.from_server:host "package"
local push = host:attach(protocol.from_server)

-- name -> { fds = array, names = fd -> name, places = fd -> place in fds, taken = name -> fd }; no room is empty
local rooms = {}

local function tell(room, what, fields)
	driver.broadcast(room.fds, netpack.pack(push(what, fields)))
end

local command = {}

function command.join(room_name, fd, name)
	local room = rooms[room_name] or { fds = {}, names = {}, places = {}, taken = {} }
	if room.taken[name] then
		return nil, "somebody of that name is in the room"
	end
	if #room.fds == settings.max_room_people then
		return nil, "the room is full"
	end
	tell(room, "joined", { name = name })
	rooms[room_name] = room
	local place = #room.fds + 1
	room.fds[place], room.names[fd], room.places[fd], room.taken[name] = fd, name, place, fd
	local people = {}
	for i, other in ipairs(room.fds) do
		people[i] = room.names[other]
	end
	return people
end

function command.leave(room_name, fd)
	local room = rooms[room_name]
	local place = room and room.places[fd]
	if not place then
		return
	end
	local name, fds = room.names[fd], room.fds
	-- the last one takes its place
	local last = fds[#fds]
	fds[place], room.places[last] = last, place
	fds[#fds] = nil
	room.names[fd], room.places[fd], room.taken[name] = nil, nil, nil
	if #fds == 0 then
		rooms[room_name] = nil
	else
		tell(room, "left", { name = name })
	end
end

function command.say(room_name, fd, text)
	local room = rooms[room_name]
	local name = room and room.names[fd]
	if name then
		tell(room, "said", { name = name, text = text })
	end
end

skynet.start(function()
	settings = sharedata.query "chat"
	skynet.dispatch("lua", function(session, _, cmd, ...)
		if session == 0 then
			command[cmd](...)
		else
			skynet.retpack(command[cmd](...))
		end
	end)
end)
