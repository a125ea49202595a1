-- The gate service and snax.gateserver below it: who hears what, limits, and connections that end in every way.
local skynet = require "skynet"
require "skynet.manager"
local try = require "try"

local roles = {}
-- Embeds a gateserver whose handler suspends in the middle of a burst.
function roles.slow()
	local gateserver = require "snax.gateserver"
	local netpack = require "skynet.netpack"
	local got = {}
	local handler = { embed = true }
	function handler.connect(fd) gateserver.openclient(fd) end
	function handler.message(_, msg, sz)
		local text = netpack.tostring(msg, sz)
		got[#got + 1] = text
		if text == "2" then skynet.sleep(5) end
		got[#got + 1] = text .. " done"
	end
	function handler.open(_, conf) return conf.port, "opened" end
	function handler.command(cmd, source, ...)
		if cmd == "got" then return table.concat(got, " ") end
		return cmd, source, ...
	end
	gateserver.start(handler)
	skynet.start(function() end)
end
if try.role(roles, ...) then return end

local socket = require "skynet.socket"	-- which takes the messages that a gateserver takes in its service

local function frame(text) return string.pack(">s2", text) end

try.main(function()
	local heard = {}	-- fd -> what the watchdog heard, a line each
	local last
	skynet.dispatch("lua", function(_, _, _, event, fd, what)
		if event == "open" then
			last, heard[fd] = fd, {}
			what = "address"
		end
		local list = heard[fd] or {}
		heard[fd] = list
		list[#list + 1] = what and event .. " " .. tostring(what) or event
	end)
	local function new_gate(conf)
		local gate = skynet.newservice "gate"
		conf.address, conf.port = "127.0.0.1", 0
		local address, port = skynet.call(gate, "lua", "open", conf)
		try.equal(address, "127.0.0.1")
		return gate, port
	end
	local gate, port = new_gate {}
	local function connect(accept, p)
		last = nil
		local id = try.yes(socket.open("127.0.0.1", p or port))
		local fd = try.until_true(function() return last end)
		if accept ~= false then skynet.call(gate, "lua", "accept", fd) end
		return id, fd
	end
	local function hears(fd, want)
		try.until_true(function() return table.concat(heard[fd], ",") == want end, table.concat(heard[fd], ",") .. " becomes " .. want)
	end

	try.case("the caller of open is the watchdog; empty frames count", function()
		local id, fd = connect()
		socket.write(id, frame "one" .. frame "" .. frame "three")
		hears(fd, "open address,data one,data ,data three")
		socket.close(id)
		hears(fd, "open address,data one,data ,data three,close")
		skynet.call(gate, "lua", "kick", fd)
	end)
	try.case("nothing is read of a connection that nobody took", function()
		local id, fd = connect(false)
		socket.write(id, frame "early")
		skynet.sleep(5)
		hears(fd, "open address")
		skynet.call(gate, "lua", "accept", fd)
		hears(fd, "open address,data early")
		socket.close(id)
		hears(fd, "open address,data early,close")
		skynet.call(gate, "lua", "kick", fd)
	end)
	try.case("a connection that nobody knows, or that has ended, cannot be taken; kicking it does nothing", function()
		try.raises("call failed", skynet.call, gate, "lua", "accept", 12345)
		try.raises("call failed", skynet.call, gate, "lua", "forward", 12345)
		skynet.call(gate, "lua", "kick", 12345)
		try.raises("call failed", skynet.call, gate, "lua", "no such command")
		local id, fd = connect()
		socket.close(id)
		hears(fd, "open address,close")
		try.raises("call failed", skynet.call, gate, "lua", "accept", fd)
		skynet.call(gate, "lua", "kick", fd)
		try.raises("call failed", skynet.call, gate, "lua", "forward", fd)
	end)
	try.case("a peer that only stops sending can still be written to, until it is kicked", function()
		local driver = require "skynet.socketdriver"
		local shell = io.popen(("exec bash -c 'exec 3<>/dev/tcp/127.0.0.1/%d; printf \"\\0\\2hi\" >&3; sleep 0.2; cat <&3'"):format(port))
		last = nil
		local fd = try.until_true(function() return last end)
		skynet.call(gate, "lua", "accept", fd)
		hears(fd, "open address,data hi")
		driver.send(fd, "bye\n")
		skynet.call(gate, "lua", "kick", fd)
		hears(fd, "open address,data hi,close")
		try.equal(shell:read "l", "bye")
		shell:close()
	end)
	try.case("a reset is an error and a close, and frees the connection", function()
		local driver = require "skynet.socketdriver"
		for _ = 1, 3 do
			local id, fd = connect()
			driver.pause(id)
			skynet.sleep(2)
			driver.send(fd, "unread")
			skynet.sleep(5)
			driver.shutdown(id)	-- with something unread
			hears(fd, "open address,error Connection reset by peer,close")
			try.equal(driver.send(fd, "late"), false)
			try.raises("call failed", skynet.call, gate, "lua", "accept", fd)
			skynet.call(gate, "lua", "kick", fd)
			skynet.sleep(2)
			hears(fd, "open address,error Connection reset by peer,close")
			socket.close(id)
		end
	end)
	try.case("frames that follow a kick are dropped", function()
		local id, fd = connect()
		skynet.call(gate, "lua", "kick", fd)
		hears(fd, "open address,close")
		socket.write(id, frame "late")
		try.equal((socket.read(id)), false)
		socket.close(id)
		hears(fd, "open address,close")
	end)
	try.case("a gate opens once, closes once", function()
		try.raises("call failed", skynet.call, gate, "lua", "open", { address = "127.0.0.1", port = 0 })
		local g, p = new_gate {}
		skynet.call(g, "lua", "close")
		skynet.sleep(5)
		try.raises("call failed", skynet.call, g, "lua", "close")
		try.until_true(function()
			local id = socket.open("127.0.0.1", p)
			if id then socket.close(id) end
			return not id
		end)
		try.raises("call failed", skynet.call, skynet.newservice "gate", "lua", "open", { address = "127.0.0.1" })
	end)
	try.case("maxclient: one less is served", function()
		local g, p = new_gate { maxclient = 4 }
		local ids, fds = {}, {}
		for i = 1, 3 do
			ids[i], fds[i] = connect(false, p)
			skynet.call(g, "lua", "accept", fds[i])
		end
		local refused = socket.open("127.0.0.1", p)
		if refused then
			try.equal((socket.read(refused)), false)
			socket.close(refused)
		end
		-- room again when one has left
		socket.close(ids[1])
		hears(fds[1], "open address,close")
		ids[1] = connect(false, p)
		for i = 1, 3 do socket.close(ids[i]) end
	end)
	try.case("a handler that suspends: later frames go on elsewhere, in their order", function()
		local s = try.start "slow"
		local p, opened = skynet.call(s, "lua", "open", { address = "127.0.0.1", port = 0 })
		try.equal(opened, "opened")
		try.values({ "other", skynet.self(), 1, 2 }, skynet.call(s, "lua", "other", 1, 2))
		local id = try.yes(socket.open("127.0.0.1", p))
		socket.write(id, frame "1" .. frame "2" .. frame "3" .. frame "4")
		try.until_true(function() return skynet.call(s, "lua", "got"):find "2 done" end)
		try.equal(skynet.call(s, "lua", "got"), "1 1 done 2 3 3 done 4 4 done 2 done")
		socket.close(id)
	end)
	try.ours("those who leave before they are taken free their place", function()
		local g, p = new_gate { maxclient = 3 }
		for _ = 1, 5 do
			local id, fd = connect(false, p)
			socket.close(id)
			skynet.call(g, "lua", "kick", fd)
			hears(fd, "open address,close")
		end
	end)
end)
