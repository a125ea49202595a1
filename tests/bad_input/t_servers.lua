-- Clients that no server should have to meet, at each kind of server: others are served meanwhile, and afterwards no descriptor,
-- block, service or coroutine is left.
local skynet = require "skynet"
require "skynet.manager"
local try = require "try"

local roles = {}
-- Watches the Lua gate: greets who comes, echoes frames, and lets go of who leaves.
function roles.watchdog()
	local driver = require "skynet.socketdriver"
	local on = {}
	skynet.start(function()
		local gate = skynet.newservice "gate"
		local _, port = skynet.call(gate, "lua", "open", { address = "127.0.0.1", port = 0, watchdog = skynet.self() })
		function on.open(fd)
			driver.send(fd, "hello\n")
			pcall(skynet.call, gate, "lua", "accept", fd)
		end
		function on.data(fd, text) driver.send(fd, string.pack(">s2", text)) end
		function on.close(fd) skynet.send(gate, "lua", "kick", fd) end
		on.error = on.close
		skynet.dispatch("lua", function(_, _, cmd, event, ...)
			if cmd == "port" then return skynet.retpack(port) end
			on[event](...)
		end)
	end)
end
-- The same of the native gate.
function roles.native_watchdog(port)
	local driver = require "skynet.socketdriver"
	local gate
	skynet.register_protocol {
		name = "text", id = skynet.PTYPE_TEXT, pack = function(text) return text end, unpack = skynet.tostring,
		dispatch = function(_, _, text)
			local fd, event, rest = text:match "^(%d+) (%a+) ?(.*)$"
			fd = tonumber(fd)
			if event == "open" then
				driver.send(fd, "hello\n")
				skynet.send(gate, "text", "start " .. fd)
			elseif event == "data" then
				driver.send(fd, string.pack(">s4", rest))
			end
		end,
	}
	skynet.start(function()
		skynet.dispatch("lua", function() skynet.retpack(tonumber(port)) end)
		gate = try.yes(skynet.launch("gate", "L", skynet.address(skynet.self()), "127.0.0.1:" .. port, 0, 1000))
	end)
end
if try.role(roles, ...) then return end

local socket = require "skynet.socket"
local client = require "client.socket"
local census = require "census"

local function garbage(most)
	local bytes = {}
	for i = 1, math.random(1, most) do bytes[i] = string.char(math.random(0, 255)) end
	return table.concat(bytes)
end

-- What a client does before it closes its connection.
local rude = {
	leaves_at_once = function() end,
	says_half_a_length = function(fd) client.send(fd, "\0") end,
	says_half_a_frame = function(fd) client.send(fd, "\0\0\0\9half") end,
	claims_much = function(fd) client.send(fd, "\255\255\255\255much") end,
	sends_empty_frames = function(fd) client.send(fd, ("\0"):rep(2000)) end,
	sends_small_frames = function(fd) client.send(fd, ("\0\0\0\1x"):rep(1000)) end,
	sends_a_line_without_end = function(fd) client.send(fd, ("x"):rep(20000)) end,
	sends_garbage = function(fd) client.send(fd, garbage(500)) end,
	sends_lines_of_garbage = function(fd)
		for _ = 1, 5 do client.send(fd, garbage(30) .. "\n") end
	end,
	drips = function(fd)
		for _ = 1, 6 do
			client.send(fd, garbage(1))
			skynet.sleep(1)
		end
	end,
	stops_sending = function(fd)
		client.send(fd, "\0\0")
		client.shutdown(fd, "w")
		skynet.sleep(2)
	end,
	stops_reading = function(fd)
		client.shutdown(fd, "r")
		client.send(fd, ("\0\0\0\1x"):rep(100))
		skynet.sleep(2)
	end,
}

-- Reading what has come first makes the close an end of the stream; otherwise it is a reset.
local function attack(port, manner, resets)
	local fd = client.connect("127.0.0.1", port)
	pcall(manner, fd)	-- the server may have had enough
	skynet.sleep(1)
	if not resets then
		pcall(function()
			while (client.recv(fd) or "") ~= "" do end
		end)
	end
	client.close(fd)
end

local function free_port()
	local id, _, port = socket.listen("127.0.0.1", 0)
	socket.close(id)
	return port
end

-- Asks a server something of its kind, and has the answer.
local function asks(port, greeting, question, answer)
	local id = try.yes(socket.open("127.0.0.1", port))
	if greeting then try.matches(socket.readline(id), greeting) end
	socket.write(id, question)
	if answer then try.equal(socket.read(id, #answer), answer) end
	socket.close(id)
end

local servers = {
	gate = function()
		local port = skynet.call(try.start "watchdog", "lua", "port")
		return port, function() asks(port, "^hello$", "\0\2hi", "\0\2hi") end
	end,
	native_gate = function()
		local port = skynet.call(try.start("native_watchdog", free_port()), "lua", "port")
		return port, function() asks(port, "^hello$", "\0\0\0\2hi", "\0\0\0\2hi") end
	end,
	loginserver = function()
		local port = free_port()
		skynet.setenv("login_port", port)
		local log = try.log()
		skynet.newservice "login_server"
		log.wait "login server listen at"
		return port, function() asks(port, "^[%w+/=]+$", "bad key\n", "401 Unauthorized\n") end
	end,
	msgserver = function()
		local server, port = skynet.newservice "msg_server", free_port()
		skynet.call(server, "lua", "open", { address = "127.0.0.1", port = port, servername = "game" })
		return port, function() asks(port, nil, "\0\6nobody", "\0\x12404 User Not Found") end
	end,
	debug_console = function()
		local port = free_port()
		skynet.newservice("debug_console", port)
		return port, function() asks(port, "^Welcome to skynet console$", "getenv thread\n", "thread\t2\n<CMD OK>\n") end
	end,
}

try.main(function()
	math.randomseed(11, 5)
	for name, start in pairs(servers) do
		local port, serves = start()
		try.ours(("%s: clients of every kind"):format(name), function()
			census.steady(5, function()
				local waits = {}
				for manner, f in pairs(rude) do
					waits[manner .. ", to the end"] = try.later(attack, port, f, false)
					waits[manner .. ", with a reset"] = try.later(attack, port, f, true)
				end
				serves()
				for manner, wait in pairs(waits) do
					local ok, err = wait()
					try.yes(ok, ("%s: %s"):format(manner, err))
				end
			end)
		end)
	end
end)
