-- skynet.socket: blocking-style sockets for coroutines over skynet.socketdriver, whose events come as messages.
local skynet = require "skynet"
local driver = require "skynet.socketdriver"

local assert, error, type, pairs = assert, error, type, pairs
local push, pop, readall = driver.push, driver.pop, driver.readall
local coroutine_running = coroutine.running

local PAUSE_BYTES = 128 * 1024

local socket = {}

-- id -> what this service knows of it. What is left when the state closes is closed with it.
local pool = setmetatable({}, {
	__gc = function(all)
		for id in pairs(all) do
			driver.shutdown(id)
		end
	end,
})
local onclose = {}	-- id -> callback

local function wakeup(s)
	local co = s.waiting
	if co then
		s.waiting = nil
		skynet.wakeup(co)
	end
end

-- Waits for the next event that matters to the reader of a socket; lets its automatic pause end first.
local function suspend(s)
	assert(not s.waiting)
	s.waiting = coroutine_running()
	if s.paused then
		skynet.error(("Resume socket (%d)"):format(s.id))
		s.paused = nil
		driver.start(s.id)
	end
	skynet.wait(s.waiting)
	-- a close that waits for this reader goes on once it has its result
	if s.closing then
		skynet.wakeup(s.closing)
	end
end

local function pause(s, size)
	if s.paused ~= nil then
		return
	end
	skynet.error(("Pause socket (%d)"):format(s.id) .. (size and (" size : %d"):format(size) or ""))
	driver.pause(s.id)
	s.paused = true
	skynet.yield()	-- what is on its way still comes
end

-- The events, by their numbers.
local events = {}

events[1] = function(id, size, data)	-- DATA
	local s = pool[id]
	if s == nil then
		skynet.error("socket: drop package from " .. id)
		driver.drop(data, size)
		return
	end
	local total = push(s.buffer, s.pool, data, size)
	local want = s.want
	local kind = type(want)
	if kind == "number" then
		if total >= want then
			s.want = nil
			if total > PAUSE_BYTES then
				pause(s, total)
			end
			wakeup(s)
		end
		return
	end
	if s.limit and total > s.limit then
		skynet.error(("socket buffer overflow: fd=%d size=%d"):format(id, total))
		driver.close(id)
		return
	end
	if kind == "string" then
		if driver.readline(s.buffer, nil, want) then
			s.want = nil
			if total > PAUSE_BYTES then
				pause(s, total)
			end
			wakeup(s)
		end
	elseif total > PAUSE_BYTES and want == nil then
		pause(s, total)
	end
end

events[2] = function(id, ud, text)	-- CONNECT
	local s = pool[id]
	if s == nil then
		return
	end
	if not s.connected then
		if s.listen then
			s.addr, s.port = text, ud
		end
		s.connected = true
		wakeup(s)
	end
end

events[3] = function(id)	-- CLOSE
	local s = pool[id]
	if s then
		s.connected = false
		wakeup(s)
	else
		driver.close(id)
	end
	local callback = onclose[id]
	if callback then
		onclose[id] = nil
		callback(id)
	end
end

events[4] = function(id, newid, addr)	-- ACCEPT
	local s = pool[id]
	if s == nil then
		driver.close(newid)
		return
	end
	s.callback(newid, addr)
end

events[5] = function(id, _, text)	-- ERROR
	local s = pool[id]
	if s == nil then
		driver.shutdown(id)
		skynet.error("socket: error on unknown", id, text)
		return
	end
	if s.callback then
		skynet.error("socket: accept error:", text)
		return
	end
	if s.connected then
		skynet.error("socket: error on", id, text)
	elseif s.connecting then
		s.connecting = text
	end
	s.connected = false
	driver.shutdown(id)
	wakeup(s)
end

events[6] = function(id, size, data, address)	-- UDP
	local s = pool[id]
	if s == nil or s.callback == nil then
		skynet.error("socket: drop udp package from " .. id)
		driver.drop(data, size)
		return
	end
	s.callback(skynet.tostring(data, size), address, driver.drop(data, size))
end

events[7] = function(id, size)	-- WARNING
	local s = pool[id]
	if s then
		if s.on_warning then
			s.on_warning(id, size)
		else
			skynet.error(("WARNING: %d K bytes need to send out (fd = %d)"):format(size, id))
		end
	end
end

skynet.register_protocol {
	name = "socket",
	id = 6,	-- PTYPE_SOCKET
	unpack = driver.unpack,
	dispatch = function(_, _, kind, ...)
		events[kind](...)
	end,
}

-- Knows a new id, and waits until it is connected.
local function connect(id, func)
	local options = func == nil and driver.options(id)
	local framed = options and options.frame ~= nil
	local s = {
		id = id,
		framed = framed,
		buffer = func == nil and driver.buffer(framed) or nil,
		pool = {},
		connected = false,
		connecting = true,
		callback = func,
	}
	assert(not onclose[id], "socket has onclose callback")
	local known = pool[id]
	if known and not known.listen then
		error("socket is not closed")
	end
	pool[id] = s
	suspend(s)
	local err = s.connecting
	s.connecting = nil
	if s.connected then
		return id
	end
	pool[id] = nil
	if err == true then
		err = "socket closed"
	end
	return nil, err
end

function socket.open(addr, port, options)
	return connect(driver.connect(addr, port, options))
end

function socket.bind(os_fd)
	return connect(driver.bind(os_fd))
end

function socket.stdin()
	return socket.bind(0)
end

function socket.start(id, func, options)
	if options then
		driver.configure(id, options)
	end
	driver.start(id)
	return connect(id, func)
end

function socket.pause(id)
	local s = pool[id]
	if s then
		pause(s)
	end
end

function socket.shutdown(id)
	local s = pool[id]
	if s then
		driver.shutdown(id)
	end
end

function socket.close_fd(id)
	assert(pool[id] == nil, "Use socket.close instead")
	driver.close(id)
end

function socket.close(id)
	local s = pool[id]
	if s == nil then
		return
	end
	driver.close(id)
	if s.connected then
		s.paused = nil
		if s.waiting then
			-- the reader gets what is left first
			assert(not s.closing)
			s.closing = coroutine_running()
			skynet.wait(s.closing)
		else
			suspend(s)
		end
		s.connected = false
	end
	if s.buffer then
		driver.clear(s.buffer, s.pool)
	end
	pool[id] = nil
end

local function read_frame(s)
	local frame = driver.frame(s.buffer)
	if not frame and s.connected then
		s.want = 0
		suspend(s)
		frame = driver.frame(s.buffer)
	end
	if frame then
		return frame
	end
	return false, ""
end

-- A socket whose bytes are wanted.
local function stream(id)
	local s = assert(pool[id])
	assert(not s.waiting)
	if s.framed then
		error(("socket %d is read by frames"):format(id), 3)
	end
	return s
end

function socket.read(id, size)
	local s = pool[id]
	if size == nil and s and s.framed then
		assert(not s.waiting)
		return read_frame(s)
	end
	s = stream(id)
	if size == nil then
		local data = readall(s.buffer, s.pool)
		if data ~= "" then
			return data
		end
		if not s.connected then
			return false, data
		end
		s.want = 0
		suspend(s)
		data = readall(s.buffer, s.pool)
		if data ~= "" then
			return data
		end
		return false, data
	end
	local data = pop(s.buffer, s.pool, size)
	if data then
		return data
	end
	if s.connected then
		s.want = size
		suspend(s)
		data = pop(s.buffer, s.pool, size)
		if data then
			return data
		end
	end
	return false, readall(s.buffer, s.pool)
end

function socket.readall(id)
	local s = stream(id)
	if not s.connected then
		local data = readall(s.buffer, s.pool)
		return data ~= "" and data
	end
	s.want = true
	suspend(s)
	assert(s.connected == false)
	return readall(s.buffer, s.pool)
end

function socket.readline(id, sep)
	sep = sep or "\n"
	local s = stream(id)
	local line = driver.readline(s.buffer, s.pool, sep)
	if line then
		return line
	end
	if s.connected then
		s.want = sep
		suspend(s)
		line = driver.readline(s.buffer, s.pool, sep)
		if line then
			return line
		end
	end
	return false, readall(s.buffer, s.pool)
end

function socket.block(id)
	local s = pool[id]
	if not s or not s.connected then
		return false
	end
	assert(not s.waiting)
	s.want = 0
	suspend(s)
	return s.connected
end

socket.write = driver.send
socket.lwrite = driver.lsend
socket.header = driver.header

function socket.invalid(id)
	return pool[id] == nil
end

function socket.disconnected(id)
	local s = pool[id]
	if s then
		return not (s.connected or s.connecting)
	end
end

function socket.listen(host, port, options)
	if port == nil then
		host, port = host:match "([^:]+):(.+)$"
		port = math.tointeger(port)
	end
	local id = driver.listen(host, port, options)
	local s = { id = id, connected = false, listen = true }
	pool[id] = s
	suspend(s)
	return id, s.addr, s.port
end

-- Forgets an id without closing it.
function socket.abandon(id)
	local s = pool[id]
	if s then
		if s.buffer and not s.waiting then
			driver.clear(s.buffer, s.pool)
		end
		s.connected = false
		wakeup(s)
		pool[id] = nil
	end
end

function socket.limit(id, limit)
	local s = assert(pool[id])
	s.limit = limit
end

function socket.onclose(id, callback)
	onclose[id] = callback
end

function socket.warning(id, callback)
	local s = assert(pool[id])
	s.on_warning = callback
end

local function new_udp(id, callback)
	pool[id] = { id = id, connected = true, callback = callback }
end

function socket.udp(callback, host, port)
	local id = driver.udp(host, port)
	new_udp(id, callback)
	return id
end

function socket.udp_listen(addr, port, callback)
	local id = driver.udp_listen(addr, port)
	new_udp(id, callback)
	return id
end

function socket.udp_dial(addr, port, callback)
	local id = driver.udp_dial(addr, port)
	new_udp(id, callback)
	return id
end

function socket.udp_connect(id, addr, port, callback)
	local s = pool[id]
	if s then
		s.callback = callback or s.callback
	else
		new_udp(id, callback)
	end
	driver.udp_connect(id, addr, port)
end

socket.sendto = driver.udp_send
socket.udp_address = driver.udp_address
socket.netstat = driver.info
socket.resolve = driver.resolve

-- Additions: see docs/skynet-compat.md.
socket.broadcast = driver.broadcast
socket.options = driver.options

function socket.configure(id, options)
	if options.frame ~= nil then
		error("frames begin with the socket", 2)
	end
	return driver.configure(id, options)
end

return socket
