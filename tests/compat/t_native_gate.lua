-- The native gate: its text commands, where frames go, and what it does with arguments, ids and lengths that are wrong.
local skynet = require "skynet"
require "skynet.manager"
local socket = require "skynet.socket"
local try = require "try"

local roles = {}
-- Answers every frame through the gate that sent it, as `agent: <text>`; knows who the frame came from.
function roles.agent(gate)
	skynet.register_protocol {
		name = "client", id = skynet.PTYPE_CLIENT,
		pack = function(text, id) return text .. string.pack("<I4", id) end,
		unpack = skynet.tostring,
		dispatch = function(id, source, text)
			skynet.ignoreret()
			skynet.send(tonumber(gate), "client", ("agent: %s from %x\n"):format(text, source), id)
		end,
	}
	skynet.start(function() end)
end
if try.role(roles, ...) then return end

local function free_port()
	local id, _, port = socket.listen("127.0.0.1", 0)
	socket.close(id)
	return port
end

try.main(function()
	local heard = {}
	skynet.register_protocol {
		name = "text", id = skynet.PTYPE_TEXT, pack = function(text) return text end, unpack = skynet.tostring,
		dispatch = function(session, _, text) heard[#heard + 1] = text .. (session ~= 0 and " #" .. session or "") end,
	}
	skynet.register_protocol {
		name = "client", id = skynet.PTYPE_CLIENT, pack = function(text) return text end, unpack = skynet.tostring,
	}
	local me = skynet.address(skynet.self())
	local function hears(want)
		try.until_true(function() return #heard > 0 end, "nothing came of " .. want)
		try.matches(table.remove(heard, 1), want)
	end
	local function new_gate(style, max)
		local port = free_port()
		return try.yes(skynet.launch("gate", style, me, "127.0.0.1:" .. port, 0, max or 10)), port
	end
	local gate, port = new_gate "S"
	local function connect(p)
		local id = try.yes(socket.open("127.0.0.1", p or port))
		try.until_true(function() return #heard > 0 end)
		local fd = table.remove(heard, 1):match "^(%d+) open %1 127%.0%.0%.1:%d+:0$"
		return id, try.yes(fd)
	end

	try.case("frames of two bytes go to the watchdog, empty ones nowhere", function()
		local id, fd = connect()
		socket.write(id, "\0\3one\0\0")
		skynet.send(gate, "text", "start " .. fd)
		hears("^" .. fd .. " data one #" .. fd .. "$")
		socket.write(id, "\0\3t")
		socket.write(id, "wo\0\5th")
		hears(" data two #")
		socket.close(id)
		hears("^" .. fd .. " close$")
	end)
	try.case("frames of four bytes", function()
		local g, p = new_gate "L"
		local id, fd = connect(p)
		skynet.send(g, "text", "start " .. fd)
		local big = ("x"):rep(100000)
		socket.write(id, string.pack(">s4s4", big, "y"))
		hears("^" .. fd .. " data " .. big .. " #")
		hears("^" .. fd .. " data y #")
		socket.close(id)
		hears " close$"
	end)
	try.case("forward: an agent gets the frames from a client and answers through the gate", function()
		local agent = try.start("agent", gate)
		local id, fd = connect()
		skynet.send(gate, "text", ("forward %s %s :12"):format(fd, skynet.address(agent)))
		skynet.send(gate, "text", "start " .. fd)
		socket.write(id, "\0\5hello")
		try.equal(socket.readline(id), "agent: hello from 12")
		skynet.send(gate, "text", "kick " .. fd)
		try.equal((socket.readline(id)), false)
		socket.close(id)
		hears("^" .. fd .. " close$")
	end)
	try.case("broker: one service gets the frames of all", function()
		local g, p = new_gate "S"
		skynet.name(".native_gate_agent", try.start("agent", g))
		local one, a = connect(p)
		local two, b = connect(p)
		skynet.send(g, "text", "broker .native_gate_agent")
		skynet.send(g, "text", "start " .. a)
		skynet.send(g, "text", "start " .. b)
		socket.write(one, "\0\1a")
		socket.write(two, "\0\1b")
		try.matches(socket.readline(one), "^agent: a from ")
		try.matches(socket.readline(two), "^agent: b from ")
		socket.close(one)
		hears " close$"
		socket.close(two)
		hears " close$"
	end)
	-- (skynet may end its process when a client comes after close)
	try.ours("beyond the most connections they are closed at once; after close nobody is let in", function()
		local g, p = new_gate("S", 2)
		local one = connect(p)
		local two = connect(p)
		local three = socket.open("127.0.0.1", p)
		if three then
			try.equal((socket.read(three)), false)
			socket.close(three)
		end
		skynet.send(g, "text", "close")
		try.until_true(function()
			local id = socket.open("127.0.0.1", p)
			if id then socket.close(id) end
			return not id
		end)
		socket.close(one)
		socket.close(two)
		skynet.kill(g)
	end)
	try.case("arguments that are wrong: it does not start, and says why", function()
		local free = free_port()
		local log = try.log()
		try.no(skynet.launch("gate", "S"))
		log.wait "Invalid gate parm S"
		try.no(skynet.launch("gate", "S", me, free, 0, 0))
		log.wait "Need max connection"
		try.no(skynet.launch("gate", "X", me, free, 0, 5))
		log.wait "Invalid data header style"
		try.no(skynet.launch("gate", "S", ".nobody", free, 0, 5))
		log.wait "Invalid watchdog .nobody"
		try.no(skynet.launch("gate", "S", "!", "127.0.0.1:zero", 0, 5))
		log.wait "Invalid gate address 127.0.0.1:zero"
	end)
	try.case("commands and client messages that are wrong are logged", function()
		local log = try.log()
		skynet.send(gate, "text", "dance 1")
		log.wait "[gate] Unknown command : dance"
		skynet.send(gate, "client", "abc")
		log.wait("Invalid client message from " .. ("%x"):format(skynet.self()))
		skynet.send(gate, "client", "bytes" .. string.pack("<I4", 9999))
		log.wait("Invalid client id 9999 from " .. ("%x"):format(skynet.self()))
		for _, text in ipairs { "start", "start x", "kick 99999999999", "forward", "forward 1 2", "broker .nobody" } do
			skynet.send(gate, "text", text)
		end
		local id, fd = connect()
		skynet.send(gate, "text", "start " .. fd)
		socket.write(id, "\0\2ok")
		hears " data ok #"
		socket.close(id)
		hears " close$"
	end)
	try.ours("a length of 16 MiB ends its connection before so much has come; others go on", function()
		local g, p = new_gate "L"
		local id, fd = connect(p)
		local other, other_fd = connect(p)
		skynet.send(g, "text", "start " .. fd)
		skynet.send(g, "text", "start " .. other_fd)
		local log = try.log()
		socket.write(id, "\1\0\0\0")
		log.wait "Recv socket message > 16M"
		try.equal((socket.read(id)), false)
		hears("^" .. fd .. " close$")
		socket.write(other, "\0\0\0\2ok")
		hears " data ok #"
		socket.close(id)
		socket.close(other)
		hears " close$"
	end)
	try.ours("a gate that ends closes what it holds", function()
		local g, p = new_gate "S"
		local id, fd = connect(p)
		skynet.kill(g)
		try.equal((socket.read(id)), false)
		try.no((socket.open("127.0.0.1", p)))
		socket.close(id)
	end)
end)
