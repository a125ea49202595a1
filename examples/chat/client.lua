-- A chat client for a terminal: fulmar exec --log /dev/null examples/chat/client.lua NAME [ROOM [HOST:PORT]]
local skynet = require "skynet"
local socket = require "skynet.socket"
local protocol = require "protocol"

local name, room, address = ...
room = room or "lobby"
address = address or "127.0.0.1:8888"

local host = protocol.from_server:host "package"
local encode = host:attach(protocol.from_client)
local sessions = 0
local joining = {}	-- session -> the room asked for

local server

local function show(...)
	print(...)
	io.stdout:flush()
end

local function send(what, fields, session)
	socket.write(server, string.pack(">s2", encode(what, fields, session)))
end

local function join(wanted)
	sessions = sessions + 1
	joining[sessions] = wanted
	send("join", { name = name, room = wanted }, sessions)
end

local hear = {}

function hear.said(what)
	if what.name ~= name then
		show(what.name .. ": " .. what.text)
	end
end

function hear.joined(what)
	show(what.name .. " comes in")
end

function hear.left(what)
	show(what.name .. " leaves")
end

local function answered(session, answer)
	if answer.people then
		room = joining[session]
		show(("You are in %s, with %s."):format(room, table.concat(answer.people, ", ")))
	else
		show(answer.refused)
	end
	joining[session] = nil
end

local function listen()
	while true do
		local header = socket.read(server, 2)
		local frame = header and socket.read(server, (string.unpack(">I2", header)))
		if not frame then
			return
		end
		local kind, what, fields = host:dispatch(frame)
		if kind == "REQUEST" then
			hear[what](fields)
		else
			answered(what, fields)
		end
	end
end

local function read_input()
	local input = assert(socket.stdin())
	while true do
		local line = socket.readline(input)
		if not line or line == "/quit" then
			return
		end
		local wanted = line:match "^/join (%S+)$"
		if wanted then
			join(wanted)
		elseif line:find "^/" then
			show "/join ROOM or /quit; anything else is said to the room"
		elseif line ~= "" then
			send("say", { text = line })
		end
	end
end

skynet.start(function()
	skynet.fork(function()
		if not name then
			show "Who are you? client.lua NAME [ROOM [HOST:PORT]]"
			return skynet.exit()
		end
		local why
		server, why = socket.open(address)
		if not server then
			show(("Cannot reach %s: %s"):format(address, why))
			return skynet.exit()
		end
		skynet.fork(function()
			listen()
			show "The server has closed the connection."
			skynet.exit()
		end)
		join(room)
		read_input()
		skynet.exit()
	end)
end)
