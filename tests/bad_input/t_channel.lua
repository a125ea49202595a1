-- Servers that a channel should not have met: after many of them no descriptor, block or coroutine is left.
local skynet = require "skynet"
local socket = require "skynet.socket"
local socketchannel = require "skynet.socketchannel"
local census = require "census"
local try = require "try"

local function read_line(sock) return true, sock:readline() end

-- Each deals with a connection until it ends.
local servers = {
	closes_at_once = function() end,
	closes_after_the_question = function(fd) socket.readline(fd) end,
	closes_within_the_answer = function(fd)
		socket.readline(fd)
		socket.write(fd, "half of an ans")
	end,
	answers_and_closes = function(fd)
		socket.readline(fd)
		socket.write(fd, "answer\n")
	end,
	sends_garbage = function(fd)
		socket.write(fd, ("\0\255garbage\n"):rep(2000))
		socket.readall(fd)
	end,
	is_silent = function(fd) socket.readall(fd) end,
}

local function attack(serve, desc, response)
	local id, _, port = socket.listen("127.0.0.1", 0)
	local open = 0
	socket.start(id, function(fd)
		open = open + 1
		socket.start(fd)
		serve(fd)
		socket.close(fd)
		open = open - 1
	end)
	desc.host, desc.port = "127.0.0.1", port
	local c = socketchannel.channel(desc)
	local waits = {}
	for i = 1, 4 do waits[i] = try.later(c.request, c, "question\n", response(i)) end
	skynet.sleep(2)
	c:close()
	for _, wait in ipairs(waits) do wait() end
	socket.close(id)
	try.until_true(function() return open == 0 end)
end

try.main(function()
	for name, serve in pairs(servers) do
		try.ours(name .. ", answers in order", function()
			census.steady(20, function()
				attack(serve, {}, function() return read_line end)
			end)
		end)
		try.ours(name .. ", answers by session", function()
			census.steady(20, function()
				attack(serve, { response = function(sock) return #sock:readline(), true end }, function(i) return i end)
			end)
		end)
	end

	try.ours("nobody is there", function()
		local id, _, port = socket.listen("127.0.0.1", 0)
		socket.close(id)
		census.steady(20, function()
			local c = socketchannel.channel { host = "127.0.0.1", port = port }
			local ok, err = pcall(c.connect, c, true)
			try.yes(not ok and err == socketchannel.error)
		end)
	end)
end)
