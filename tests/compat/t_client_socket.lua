-- client.socket: the blocking client, against a server of the same node. (skynet's ends the process at the end of the standard
-- input, which tests/compat/run does not give it.)
local skynet = require "skynet"
local client = require "client.socket"
local socket = require "skynet.socket"
local try = require "try"

try.main(function()
	local accepted
	local listener, _, port = socket.listen("127.0.0.1", 0)
	socket.start(listener, function(id) accepted = id end)

	local function connect()
		accepted = nil
		local fd = client.connect("127.0.0.1", port)
		local id = try.until_true(function() return accepted end)
		socket.start(id)
		return fd, id
	end
	local function receive(fd)
		local text
		try.until_true(function()
			text = client.recv(fd)
			return text
		end)
		return text
	end

	try.case("nothing yet, then what has come, then the end", function()
		local fd, id = connect()
		try.equal(client.recv(fd), nil)
		socket.write(id, "hello")
		try.equal(receive(fd), "hello")
		try.equal(client.recv(fd), nil)
		socket.close(id)
		try.equal(receive(fd), "")
		client.close(fd)
	end)
	try.case("send and shutdown", function()
		local fd, id = connect()
		client.send(fd, "one")
		client.send(fd, "two")
		client.shutdown(fd, "w")
		try.equal(socket.readall(id), "onetwo")
		socket.write(id, "answer")
		try.equal(receive(fd), "answer")
		client.close(fd)
		socket.close(id)
	end)
	try.case("nobody listens", function()
		socket.close(listener)
		try.raises(("Connect 127.0.0.1 %d failed"):format(port), client.connect, "127.0.0.1", port)
	end)
	try.case("usleep sleeps", function()
		local start = skynet.hpc()
		client.usleep(3000)
		try.yes(skynet.hpc() - start >= 3000000)
	end)
	try.ours("numbers that are no connection, and connections that are closed", function()
		for _, fd in ipairs { 0, 1, 2, -1, 1 << 40 } do
			try.raises("No connection " .. fd, client.recv, fd)
			try.raises("No connection " .. fd, client.send, fd, "x")
			try.raises("No connection " .. fd, client.shutdown, fd, "r")
			client.close(fd)
		end
		try.raises("Connect 127.0.0.1 70000 failed", client.connect, "127.0.0.1", 70000)
	end)
end)
