-- Sockets as their owner sees them: what can be written, how connections end, and who reads them after another.
local skynet = require "skynet"
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
end)
