-- socket.broadcast, and strings that were received from another service as what is written.
local skynet = require "skynet"
local socket = require "skynet.socket"
local try = require "try"

local roles = {}

-- Gives back what it gets.
function roles.mirror()
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, text) skynet.retpack(text) end)
	end)
end

if try.role(roles, ...) then return end

-- Both ends of `count` connections.
local function connect(count)
	local accepted, ours = {}, {}
	local listener, _, port = socket.listen("127.0.0.1", 0)
	socket.start(listener, function(id)
		socket.start(id)
		accepted[#accepted + 1] = id
	end)
	for i = 1, count do
		ours[i] = assert(socket.open("127.0.0.1", port))
	end
	while #accepted < count do
		skynet.sleep(1)
	end
	socket.close(listener)
	return accepted, ours
end

local function close(...)
	for _, ids in ipairs { ... } do
		for _, id in ipairs(ids) do socket.close(id) end
	end
end

try.main(function()
	try.case("a long string that came from another service is written as it is", function()
		local mirror = try.start "mirror"
		local there, here = connect(1)
		for _, len in ipairs { 10, 1023, 1024, 1025, 300000 } do
			local text = skynet.call(mirror, "lua", ("x"):rep(len - 1) .. "y")
			try.yes(socket.write(there[1], text))
			try.yes(socket.write(there[1], text))
			text = nil
			collectgarbage()	-- what is under way does not depend on the string
			try.equal(socket.read(here[1], len * 2), (("x"):rep(len - 1) .. "y"):rep(2))
		end
		close(there, here)
	end)

	if not socket.broadcast then return end

	try.case("a broadcast goes to all, between what is written before and after", function()
		local there, here = connect(30)
		for round = 1, 20 do
			socket.write(there[1], "<")
			try.equal(socket.broadcast(there, ("%02d"):format(round)), 30)
			socket.write(there[1], ">")
		end
		for i, id in ipairs(here) do
			for round = 1, 20 do
				local expected = ("%02d"):format(round)
				if i == 1 then expected = "<" .. expected .. ">" end
				try.equal(socket.read(id, #expected), expected)
			end
		end
		close(there, here)
	end)

	try.case("a broadcast takes what a write takes, and counts who took it", function()
		local there, here = connect(2)
		try.equal(socket.broadcast({ there[1], 0, -1, 1 << 40, "x", there[2], false }, { "a", "b" }), 2)
		try.equal(socket.broadcast({}, "x"), 0)
		for _, id in ipairs(here) do try.equal(socket.read(id, 2), "ab") end
		try.equal(socket.broadcast({ there[1] }, skynet.pack "packed"), 1)
		try.equal(skynet.unpack(socket.read(here[1])), "packed")
		try.raises("table expected", socket.broadcast, 1, "x")
		try.raises("string expected", socket.broadcast, there, nil)
		close(there, here)
		try.equal(socket.broadcast(there, "x"), 0)
	end)
end)
