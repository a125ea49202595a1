-- Sockets as their owner sees them: what can be written, how connections end, and who reads them after another.
local skynet = require "skynet"
require "skynet.manager"
local try = require "try"

local roles = {}
-- Writes down the events of its sockets, and does with them what it is told.
function roles.raw()
	local driver = require "skynet.socketdriver"
	local names = { "data", "connect", "close", "accept", "error", "udp", "warning" }
	local events = {}
	skynet.register_protocol {
		name = "socket", id = skynet.PTYPE_SOCKET, unpack = driver.unpack,
		dispatch = function(_, _, kind, id, ud, data)
			if kind == 1 then
				data = skynet.tostring(data, ud, driver.drop(data, ud))
			end
			events[#events + 1] = { names[kind], id, ud, data }
		end,
	}
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, cmd, ...)
			if cmd == "events" then
				skynet.retpack(events)
				events = {}
			else
				skynet.retpack(driver[cmd](...))
			end
		end)
	end)
end
-- Reads a connection that another service had: what is sent from then on, to the end.
function roles.heir()
	local socket = require "skynet.socket"
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, id)
			assert(socket.start(id))
			skynet.retpack(socket.readall(id))
			socket.close(id)
		end)
	end)
end
if try.role(roles, ...) then return end

local socket = require "skynet.socket"
local driver = require "skynet.socketdriver"

try.main(function()
	local accepted
	local listener, _, port = socket.listen("127.0.0.1", 0)
	socket.start(listener, function(id) accepted = id end)
	local function pair()
		accepted = nil
		local id = try.yes(socket.open("127.0.0.1", port))
		return id, try.until_true(function() return accepted end)
	end

	try.case("an array is written as table.concat joins it", function()
		local id, far = pair()
		socket.start(far)
		local shown = setmetatable({}, { __index = function(_, i) if i <= 3 then return "I" .. i end end })
		for _, parts in ipairs { { "a", "b" }, { 1, 2.5, "x" }, { 3.0, -7, 1e100 }, { "a", nil, "c" }, {}, { shown[1] }, { "p", n = 5 } } do
			try.equal(socket.write(id, parts), true)
		end
		try.equal(socket.write(id, shown), true)
		try.equal(socket.lwrite(id, { 8, "." }), true)
		socket.write(id, 12)
		socket.write(id, "\n")
		try.equal(socket.readline(far), "ab12.5x3.0-71e+100aI1pI1I2I38.12")
		for _, parts in ipairs { { "a", true }, { {} }, { "a", print }, { setmetatable({}, { __tostring = function() return "x" end }) } } do
			-- (under one of its two names)
			try.matches(try.raises("string expected, got ", socket.write, id, parts), "^bad extra argument #%-1 to 'skynet%.socket")
			try.raises("string expected, got ", socket.write, 99999, parts)
		end
		try.matches(try.raises("(string expected, got nil)", socket.write, id, nil), "^bad argument #2 to 'skynet%.socket")
		try.raises("(string expected, got boolean)", socket.write, id, true)
		try.equal(socket.write(99999, { 1 }), false)
		socket.write(id, "end\n")
		try.equal(socket.readline(far), "end")
		socket.close(id)
		socket.close(far)
	end)

	-- A raw owner of a listener and its connections, and clients in this service that can be made to reset theirs.
	local raw = try.start "raw"
	local function tell(...) return skynet.call(raw, "lua", ...) end
	-- Waits for these events of `raw`, a line each.
	local function hears(want)
		local heard = {}
		try.until_true(function()
			for _, event in ipairs(tell "events") do
				local kind, _, ud, text = table.unpack(event)
				heard[#heard + 1] = kind == "accept" and kind or ("%s %s"):format(kind, kind == "warning" and ud or text or ""):match "^(.-) *$"
				if kind == "accept" then accepted = ud end
			end
			return table.concat(heard, ", ") == want
		end, table.concat(heard, ", ") .. " becomes " .. want)
		skynet.sleep(3)
		try.equal(#tell "events", 0, "more events")
	end
	local raw_listener = tell("listen", "127.0.0.1", 0)
	local raw_port
	try.until_true(function()
		for _, event in ipairs(tell "events") do raw_port = event[3] end
		return raw_port
	end)
	tell("start", raw_listener)
	hears "connect start"
	local function raw_pair(started)
		local id = try.yes(socket.open("127.0.0.1", raw_port))
		driver.pause(id)
		hears "accept"
		if started ~= false then
			tell("start", accepted)
			hears "connect start"
		end
		return id, accepted
	end
	-- To close with something unread is to reset.
	local function reset(id, far)
		tell("send", far, "unread")
		skynet.sleep(5)
		driver.shutdown(id)
		socket.close(id)
	end
	local function is_free(id)
		for _, record in ipairs(driver.info()) do
			if record.id == id then return false end
		end
		try.equal(tell("send", id, "late"), false)
		tell("close", id)
		tell("shutdown", id)
		skynet.sleep(2)
		try.equal(#tell "events", 0)
		tell("start", id)
		hears "error invalid socket"
		return true
	end

	try.case("a reset is an error and a close, and the id is free", function()
		local id, far = raw_pair()
		reset(id, far)
		hears "error Connection reset by peer, close"
		try.yes(is_free(far))
	end)
	try.case("a reset is told to an owner that has paused", function()
		local id, far = raw_pair()
		tell("pause", far)
		reset(id, far)
		hears "error Connection reset by peer, close"
		try.yes(is_free(far))
	end)
	-- (as skynet does when another process resets it; it sends nothing before the start)
	try.ours("a reset is told to an owner that has not started", function()
		local id, far = raw_pair(false)
		reset(id, far)
		hears "error Connection reset by peer, close"
		try.yes(is_free(far))
	end)
	try.case("a reset while much waits", function()
		local id, far = raw_pair()
		tell("send", far, ("x"):rep(32 << 20))
		skynet.sleep(5)
		tell "events"	-- a warning, or none
		driver.shutdown(id)
		socket.close(id)
		hears "error Connection reset by peer, close"
		try.yes(is_free(far))
	end)
	try.case("a closed connection whose peer does not read is closing, until it is shut down", function()
		local id, far = raw_pair()
		tell("send", far, ("x"):rep(32 << 20))
		skynet.sleep(5)
		tell "events"
		tell("close", far)
		hears "close"
		local function kind()
			for _, record in ipairs(driver.info()) do
				if record.id == far then return record.type end
			end
		end
		try.equal(kind(), "CLOSING")
		try.equal(tell("send", far, "more"), false)
		tell("start", far)
		hears "error socket closed"
		tell("close", far)
		skynet.sleep(5)
		try.equal(kind(), "CLOSING")
		tell("shutdown", far)
		try.until_true(function() return not kind() end)
		try.yes(is_free(far))
		socket.close(id)
	end)
	try.case("a peer that has closed shows as closing, and can be written to until the error", function()
		local id, far = raw_pair()
		socket.close(id)
		hears "close"
		local function kind()
			for _, record in ipairs(driver.info()) do
				if record.id == far then return record.type end
			end
		end
		try.equal(kind(), "CLOSING")
		tell("start", far)
		hears "error socket closed"
		skynet.sleep(5)
		try.equal(tell("send", far, "x"), true)
		hears "error Broken pipe"
		try.yes(is_free(far))
	end)
	try.case("a reset in skynet.socket: the reader gets false, onclose is called, the rest is as after a close", function()
		local id, far = pair()
		driver.pause(id)
		socket.start(far)
		local closed
		socket.onclose(far, function(fd) closed = fd end)
		local read = try.later(socket.read, far)
		socket.write(far, "unread")
		skynet.sleep(5)
		local log = try.log()
		driver.shutdown(id)
		try.values({ true, false, "" }, read())
		log.wait(("socket: error on %d Connection reset by peer"):format(far))
		try.until_true(function() return closed == far end)
		try.equal(socket.disconnected(far), true)
		try.equal(socket.invalid(far), false)
		try.equal(socket.write(far, "x"), false)
		try.values({ false, "" }, socket.read(far))
		try.equal(socket.block(far), false)
		socket.close(far)
		try.equal(socket.invalid(far), true)
		socket.close(id)
	end)

	try.case("abandon: the reader gets false, and another service reads on", function()
		local id, far = pair()
		socket.start(far)
		socket.write(id, "for the first, ")
		try.equal(socket.read(far, 4), "for ")
		local heir = try.start "heir"
		local read = try.later(socket.read, far, 100)
		skynet.sleep(2)
		socket.abandon(far)
		try.values({ true, false, "the first, " }, read())
		try.equal(socket.invalid(far), true)
		try.raises("assertion failed!", socket.read, far)
		local rest = try.later(skynet.call, heir, "lua", far)
		skynet.sleep(5)
		socket.write(id, "for the second")
		socket.close(id)
		try.values({ true, "for the second" }, rest())
		socket.abandon(far)	-- once more is nothing
		socket.close(listener)
	end)
	try.case("abandon of what is paused: all that comes is for the next", function()
		local l, _, p = socket.listen("127.0.0.1", 0)
		local far
		socket.start(l, function(fd) far = fd end)
		local id = try.yes(socket.open("127.0.0.1", p))
		try.until_true(function() return far end)
		socket.start(far)
		local log = try.log()
		socket.pause(far)
		log.wait(("Pause socket (%d)"):format(far))
		skynet.sleep(5)
		socket.write(id, "kept")
		skynet.sleep(5)
		socket.abandon(far)
		local rest = try.later(skynet.call, try.start "heir", "lua", far)
		skynet.sleep(5)
		socket.close(id)
		try.values({ true, "kept" }, rest())
		-- and one that nobody takes is ours to close
		far = nil
		id = try.yes(socket.open("127.0.0.1", p))
		try.until_true(function() return far end)
		socket.start(far)
		socket.abandon(far)
		socket.write(id, "for nobody")
		log.wait("socket: drop package from " .. far)
		socket.close_fd(far)
		try.values({ false, "" }, socket.read(id))
		socket.close(id)
		socket.close(l)
	end)

	-- Connections with options; `far` is the accepted end.
	local function pair_with(listening, opening, starting)
		local l, _, p = socket.listen("127.0.0.1", 0, listening)
		local far
		socket.start(l, function(fd)
			try.yes(socket.start(fd, nil, starting))
			far = fd
		end)
		local id = try.yes(socket.open("127.0.0.1", p, opening))
		try.until_true(function() return far end)
		socket.close(l)
		return id, far
	end
	local FORMATS = { "s1", ">s2", "<s2", ">s4", "<s4" }

	try.ours("frames: what string.pack makes is read whole, and written so", function()
		for _, format in ipairs(FORMATS) do
			local id, far = pair_with({ frame = format })
			local longest = format == "s1" and 255 or 65535
			local texts = { "", "one", ("x"):rep(longest), "", "four" }
			local packed = {}
			for i, text in ipairs(texts) do packed[i] = string.pack(format, text) end
			packed = table.concat(packed)
			socket.write(id, packed:sub(1, 7))
			skynet.yield()
			socket.write(id, packed:sub(8))
			for _, text in ipairs(texts) do
				try.equal(socket.read(far), text)
				try.equal(socket.write(far, text), true)
			end
			try.equal(socket.read(id, #packed), packed)
			socket.close(id)
			try.values({ false, "" }, socket.read(far))
			socket.close(far)
		end
	end)
	try.ours("frames on both sides, large ones, and ones that are too long", function()
		local options = { frame = "<s4", limit_bytes = 3 << 20 }
		local id, far = pair_with(options, options)
		local text = ("frame "):rep(1 << 19)	-- 3 MiB
		try.equal(socket.write(id, text), true)
		try.equal(socket.write(id, text .. "."), false)
		try.equal(socket.write(id, { "small ", 1 }), true)
		try.yes(socket.read(far) == text)
		try.equal(socket.read(far), "small 1")
		socket.configure(id, { limit_bytes = 4 << 20 })
		local log = try.log()
		try.equal(socket.write(id, text .. "."), true)
		try.values({ false, "" }, socket.read(far))
		log.wait(("socket: error on %d a frame of %d bytes where %d are allowed"):format(far, (3 << 20) + 1, 3 << 20))
		socket.close(far)
		socket.close(id)
	end)
	try.ours("frames can be asked for at the start, and stay with the socket", function()
		local id, far = pair_with(nil, nil, { frame = "s1" })
		try.equal(socket.options(far).frame, "s1")
		try.equal(socket.options(id).frame, nil)
		socket.write(id, "\3one\3t")
		try.equal(socket.read(far), "one")
		for _, read in ipairs { socket.readline, socket.readall, function(fd) socket.read(fd, 1) end } do
			try.raises(("socket %d is read by frames"):format(far), read, far)
		end
		socket.abandon(far)
		try.yes(socket.start(far))
		socket.write(id, "wo\0")
		try.equal(socket.read(far), "two")
		try.equal(socket.read(far), "")
		try.raises("frames begin with the socket", socket.configure, far, { frame = ">s2" })
		socket.close(id)
		socket.close(far)
	end)
	try.ours("frames that nobody reads pause their socket, empty ones as well", function()
		local id, far = pair_with { frame = ">s2" }
		local log = try.log()
		socket.write(id, ("\0\0"):rep(10000))
		log.wait(("Pause socket (%d) size : "):format(far))
		for i = 1, 10000 do try.equal(socket.read(far), "", i) end
		socket.close(id)
		try.values({ false, "" }, socket.read(far))
		log.wait(("Resume socket (%d)"):format(far))
		socket.close(far)
	end)
	try.ours("who says nothing is cut off, and who says no whole frame", function()
		for _, framed in ipairs { false, true } do
			local id, far = pair_with { idle_cs = 20, frame = framed and ">s2" }
			local log = try.log()
			for _ = 1, 3 do
				skynet.sleep(10)
				socket.write(id, "\0\1x")
				try.equal(socket.read(far), framed and "x" or "\0\1x")
			end
			local drips = framed
			skynet.fork(function()
				socket.write(id, "\9\9")
				while drips and socket.write(id, "y") do skynet.sleep(5) end
			end)
			if not framed then try.equal(socket.read(far), "\9\9") end
			try.values({ false, "" }, socket.read(far))
			drips = false
			log.wait(("socket: error on %d nothing received for too long"):format(far))
			socket.close(far)
			socket.close(id)
		end
	end)
	try.ours("what waits to be sent is limited, and how long it may wait after the end", function()
		local id, far = pair_with(nil, { queued_bytes = 1 << 20 })
		driver.pause(far)
		local log = try.log()
		for _ = 1, 1000 do
			if not socket.write(id, ("x"):rep(100000)) then break end
		end
		log.wait(("socket: error on %d too much waits to be sent"):format(id))
		socket.close(id)
		driver.shutdown(far)
		socket.close(far)

		id, far = pair_with(nil, { linger_cs = 20 })
		driver.pause(far)
		socket.write(id, ("x"):rep(32 << 20))
		socket.close(id)
		try.equal(socket.options(id).linger_cs, 20)
		try.until_true(function() return not socket.options(id) end)
		driver.shutdown(far)
		socket.close(far)
	end)
	try.ours("options of listeners", function()
		local shared = { backlog = 4, reuse_port = true, nodelay = true, keepalive = false }
		local one, _, p = socket.listen("127.0.0.1", 0, shared)
		local two = socket.listen("127.0.0.1", p, shared)
		try.raises("Listen error", socket.listen, "127.0.0.1", p)
		try.equal(socket.options(one).nodelay, true)
		try.equal(socket.options(one).keepalive, false)
		socket.close(one)
		socket.close(two)
		local gate = skynet.newservice "gate"
		local conf = { address = "127.0.0.1", port = 0, options = { idle_cs = 10 } }
		local _, gate_port = skynet.call(gate, "lua", "open", conf)
		local heard = {}
		skynet.dispatch("lua", function(_, _, _, event, fd, text)
			heard[#heard + 1] = event == "error" and event .. " " .. text or event
			if event == "open" then skynet.send(gate, "lua", "accept", fd) end
		end)
		local id = try.yes(socket.open("127.0.0.1", gate_port))
		try.equal((socket.read(id)), false)
		try.until_true(function() return table.concat(heard, ",") == "open,error nothing received for too long,close" end)
		socket.close(id)
		skynet.kill(gate)
	end)
	try.ours("options that are none", function()
		local l = socket.listen("127.0.0.1", 0)
		for option, value in pairs {
			nothing = 1, nodelay = 1, keepalive = "yes", queued_bytes = -1, idle_cs = 1.5, linger_cs = 1 << 32, frame = "s2",
			limit_bytes = {}, backlog = 5, reuse_port = true, [1] = 2,
		} do
			local want = option == 1 and "Invalid socket option" or "Invalid socket option " .. option
			try.raises(want, driver.configure, l, { [option] = value })
			try.raises(want, socket.open, "127.0.0.1", 1, { [option] = value })
		end
		try.raises("Invalid socket option backlog", socket.listen, "127.0.0.1", 0, { backlog = "x" })
		try.raises("table expected, got string", driver.configure, l, "x")
		try.equal(driver.configure(99999, {}), false)
		try.equal(driver.options(99999), nil)
		try.values({ true, 5 }, socket.configure(l, { idle_cs = 5 }), socket.options(l).idle_cs)
		try.equal(socket.configure(l, { nodelay = true }), true)
		try.equal(socket.options(l).idle_cs, 5)
		socket.close(l)
	end)
end)
