-- skynet.socketchannel: requests and answers on one connection that is made again when it is lost. Answers come in the order of
-- the requests, or name the session that they belong to.
--
-- A connection owns the requests that wait for its answers, and a coroutine that reads them. When it is lost, all of them fail;
-- nothing is sent a second time. What the channel itself keeps is where to connect to and how.
local skynet = require "skynet"
local socket = require "skynet.socket"
local driver = require "skynet.socketdriver"

local socketchannel = {}

local socket_error = setmetatable({}, { __tostring = function() return "[Error: socket]" end })
socketchannel.error = socket_error

local LONGEST_RETRY = 1000	-- centiseconds

local channel = {}
channel.__index = channel

-- What response functions read from.
local function reader(read)
	return function(connection, ...)
		local data = read(connection[1], ...)
		if data then
			return data
		end
		error(socket_error)
	end
end

local reading = { read = reader(socket.read), readline = reader(socket.readline) }

function socketchannel.channel(desc)
	return setmetatable({
		__host = assert(desc.host),
		__port = desc.port,
		__backup = desc.backup,
		by_session = desc.response,
		auth = desc.auth,
		nodelay = desc.nodelay,
		overload = desc.overload,
		connection_meta = { __index = {
			read = desc.socket_read or reading.read,
			readline = desc.socket_readline or reading.readline,
		} },
		closed = false,
		moves = 0,	-- how often another place was named
		connection = nil,	-- the one in use
		connecting = nil,	-- during an attempt: the coroutines that wait for its end
		authenticating = nil,	-- the coroutine that runs auth
	}, channel)
end

local function finish(request, failed, data)
	request.done, request.failed, request.data = true, failed, data
	skynet.wakeup(request)
end

-- Ends a connection: requests that wait for its answers fail. The one whose response function runs is left to it.
local function lose(c, connection, err)
	if connection.lost then
		return
	end
	connection.lost = true
	if c.connection == connection then
		c.connection = nil
	end
	local fd = connection[1]
	socket.onclose(fd)
	skynet.fork(socket.close, fd)	-- it may wait, and we may be in a finalizer
	local waiting = connection.waiting
	connection.waiting = {}
	if c.by_session then
		for _, request in pairs(waiting) do
			finish(request, true, err)
		end
	else
		for i = connection.first, connection.last do
			finish(waiting[i], true, err)
		end
		connection.first, connection.last = 1, 0
	end
	skynet.wakeup(connection)
end

-- Keeps what a response function says of a request's answer; true when the request is done.
local function take(request, success, data, padding)
	local parts = request.parts
	if success and padding then
		if not parts then
			parts = {}
			request.parts = parts
		end
		parts[#parts + 1] = data
		return false
	end
	if success and parts then
		parts[#parts + 1] = data
		data = parts
	end
	finish(request, not success, data)
	return true
end

-- The next request in its order; nil when the connection is lost before there is one.
local function next_request(c, connection)
	while connection.last < connection.first do
		if connection.ended then
			skynet.error("socket closed by peer : ", c.__host, c.__port)
			lose(c, connection, socket_error)
		end
		if connection.lost then
			return
		end
		skynet.wait(connection)
	end
	local first = connection.first
	local request = connection.waiting[first]
	connection.waiting[first] = nil
	connection.first = first + 1
	return request
end

local function answers_in_order(c, connection)
	local request = next_request(c, connection)
	while request do
		local ok, success, data, padding = pcall(request.response, connection)
		if not ok then
			finish(request, true, success)
			return lose(c, connection, success)
		end
		if take(request, success, data, padding) then
			request = next_request(c, connection)
		end
	end
end

local function answers_by_session(c, connection)
	while true do
		local ok, session, success, data, padding = pcall(c.by_session, connection)
		if not ok or session == nil then
			return lose(c, connection, session or socket_error)
		end
		local request = connection.waiting[session]
		if not request then
			skynet.error("socket: unknown session :", session)
		elseif take(request, success, data, padding) then
			connection.waiting[session] = nil
		end
	end
end

local function watch_overload(c, fd)
	local overload, overloaded = c.overload, false
	socket.warning(fd, function(id, size)
		if size == 0 then
			overloaded = false
			overload(false)
		elseif not overloaded then
			overloaded = true
			overload(true)
		else
			skynet.error(("WARNING: %d K bytes need to send out (fd = %d) %s %s"):format(size, id, c.__host, c.__port))
		end
	end)
end

-- Puts an open socket to use.
local function establish(c, fd)
	local connection = setmetatable({ fd, waiting = {}, first = 1, last = 0 }, c.connection_meta)
	socket.onclose(fd, function()
		connection.ended = true
		skynet.wakeup(connection)
	end)
	if c.nodelay then
		driver.nodelay(fd)
	end
	if c.overload then
		watch_overload(c, fd)
	end
	c.connection = connection
	skynet.fork(c.by_session and answers_by_session or answers_in_order, c, connection)
end

-- Runs auth on the new connection; whether it let us in.
local function authenticate(c)
	c.authenticating = coroutine.running()
	local ok, err = pcall(c.auth, c)
	c.authenticating = nil
	if not ok then
		if err ~= socket_error then
			skynet.error("socket: auth failed", err)
		end
		if c.connection then
			lose(c, c.connection, socket_error)
		end
	end
	return ok
end

-- Connects to one place, which becomes the channel's; gives the reason when that fails. Goes on to another place when the channel
-- is told to meanwhile, by auth or anybody.
local function connect_to(c, host, port)
	local moves
	repeat
		moves = c.moves
		local fd, err = socket.open(host, port)
		if c.closed or c.moves ~= moves then
			if fd then
				socket.close(fd)
			end
		elseif not fd then
			return err
		else
			c.__host, c.__port = host, port
			establish(c, fd)
			local welcome = not c.auth or authenticate(c)
			if c.moves == moves and not c.closed and not (welcome and c.connection) then
				return "no more backup host"
			end
		end
		host, port = c.__host, c.__port
	until c.closed or c.moves == moves
end

-- One round over the host and its backups; gives the reason when none will have us.
local function connect_round(c)
	local err = connect_to(c, c.__host, c.__port)
	if not err then
		return
	end
	for _, place in ipairs(c.__backup or {}) do
		local host, port = place, c.__port
		if type(place) == "table" then
			host, port = place.host, place.port or port
		end
		skynet.error("socket: connect to backup host", host, port)
		err = connect_to(c, host, port)
		if not err then
			return
		end
	end
	return err
end

-- Rounds until one succeeds or the channel is closed.
local function connect_at_last(c)
	local delay = 0
	while not c.closed do
		local err = connect_round(c)
		if not err then
			if c.connection then
				skynet.error("socket: connect to", c.__host, c.__port)
			end
			return
		end
		skynet.error("socket: connect", err)
		if delay > LONGEST_RETRY then
			skynet.error("socket: try to reconnect", c.__host, c.__port)
			skynet.sleep(delay)
			delay = 0
		else
			skynet.sleep(delay)
		end
		delay = delay + 100
	end
end

-- The one attempt that all who want to connect share.
local function attempt(c, once)
	local waiting = {}
	c.connecting = waiting
	local ok, err = pcall(once and connect_round or connect_at_last, c)
	c.connecting = nil
	for _, token in ipairs(waiting) do
		skynet.wakeup(token)
	end
	if not ok then
		error(err, 0)
	end
	return err
end

-- Sees to a connection: true, or false when the channel is closed.
local function connect(c, once)
	while true do
		local authenticating = c.authenticating == coroutine.running()
		if c.closed then
			return false
		elseif c.connection and (authenticating or not c.connecting) then
			return true
		elseif authenticating then
			error(socket_error)
		end
		local err
		if c.connecting then
			local token = {}
			table.insert(c.connecting, token)
			skynet.wait(token)
		else
			err = attempt(c, once)
			if err and not c.closed then
				skynet.error("Connect failed", err, c.__host, c.__port)
			end
		end
		if once and not c.connection and not c.closed then
			error(socket_error)
		end
	end
end

--- Connects, if there is no connection. Once: one round over host and backups, and an error when it fails. Otherwise as often as
--- it takes.
function channel:connect(once)
	self.closed = false
	return connect(self, once)
end

-- Waits for the answer that belongs to `response`: a session, or a function that reads it.
local function wait_for_answer(c, response)
	local connection = c.connection
	local request = { response = response }
	if c.by_session then
		local before = connection.waiting[response]
		connection.waiting[response] = request
		if before then
			finish(before, true, socket_error)
		end
	else
		connection.last = connection.last + 1
		connection.waiting[connection.last] = request
		skynet.wakeup(connection)
	end
	repeat
		skynet.wait(request)
	until request.done
	if request.failed then
		error(request.data)
	end
	return request.data
end

--- Sends a request and waits for its answer; only sends when there is no `response`. The parts of `padding` go out behind the
--- request, with low priority.
function channel:request(request, response, padding)
	assert(connect(self, true))
	local connection = self.connection
	local fd = connection[1]
	local sent
	if padding then
		sent = socket.lwrite(fd, request)
		for _, part in ipairs(padding) do
			sent = sent and socket.lwrite(fd, part)
		end
	else
		sent = socket.write(fd, request)
	end
	if not sent then
		lose(self, connection, socket_error)
		error(socket_error)
	end
	if response ~= nil then
		return wait_for_answer(self, response)
	end
end

--- Waits for an answer that nobody has asked for.
function channel:response(response)
	assert(connect(self))
	return wait_for_answer(self, response)
end

--- Ends the connection; nothing works until `connect` is called.
function channel:close()
	self.closed = true
	if self.connection then
		lose(self, self.connection, socket_error)
	end
end

--- Names another place; a connection to the old one ends.
function channel:changehost(host, port)
	self.__host = host
	self.__port = port or self.__port
	self.moves = self.moves + 1
	if self.connection then
		lose(self, self.connection, socket_error)
	end
end

function channel:changebackup(backup)
	self.__backup = backup
end

return socketchannel
