-- snax.loginserver: a service that checks who a client is and tells it where to go. The same script runs as the master, which
-- listens and has the last word, and as its slaves, each of which leads clients through the handshake:
--
--   server                              client
--   base64(challenge)               ->
--                                   <-  base64(dhexchange(client key))
--   base64(dhexchange(server key))  ->
--                                   <-  base64(hmac64(challenge, secret))
--                                   <-  base64(desencode(secret, token))
--   200 base64(subid)               ->  or 401, 403, 406 with a text
local skynet = require "skynet"
require "skynet.manager"
local crypt = require "skynet.crypt"
local socket = require "skynet.socket"
local driver = require "skynet.socketdriver"

local KEY_BYTES = 8
local BUFFER_BYTES = 8192
local SLAVES = 8
local HANDSHAKE_CS = 3000

local LOST = {}	-- raised when the client goes, or is too slow

local function send_line(fd, text)
	if not socket.write(fd, text .. "\n") then
		error(LOST)
	end
end

local function read_line(fd)
	return socket.readline(fd) or error(LOST)
end

-- Leads a client through the handshake; gives its token and the secret that both sides share now.
local function handshake(fd)
	local challenge = crypt.randomkey()
	send_line(fd, crypt.base64encode(challenge))
	local client_key = crypt.base64decode(read_line(fd))
	if #client_key ~= KEY_BYTES then
		error "Invalid client key"
	end
	local server_key = crypt.randomkey()
	send_line(fd, crypt.base64encode(crypt.dhexchange(server_key)))
	local secret = crypt.dhsecret(client_key, server_key)
	if crypt.hmac64(challenge, secret) ~= crypt.base64decode(read_line(fd)) then
		error "challenge failed"
	end
	return crypt.desdecode(secret, crypt.base64decode(read_line(fd))), secret
end

-- A slave answers each connection with true, the client's server, user and secret; with false and the reason it is refused; or
-- with nothing when it is lost.
local function run_slave(conf)
	local patience = conf.handshake_timeout or HANDSHAKE_CS

	local function authenticate(fd)
		local token, secret = handshake(fd)
		local server, uid = conf.auth_handler(token)
		return server, uid, secret
	end

	local function serve(fd, address)
		skynet.error(("connect from %s (fd = %d)"):format(address, fd))
		if not socket.start(fd) then
			return nil
		end
		socket.limit(fd, BUFFER_BYTES)
		local done = false
		skynet.timeout(patience, function()
			if not done then
				socket.shutdown(fd)
			end
		end)
		local result = table.pack(pcall(authenticate, fd))
		done = true
		-- what else it sends is for nobody; the master closes it
		driver.pause(fd)
		skynet.yield()
		socket.abandon(fd)
		if result[2] == LOST then
			skynet.error(("auth failed: socket (fd = %d) closed"):format(fd))
			return nil
		end
		return table.unpack(result, 1, result.n)
	end

	skynet.dispatch("lua", function(_, _, fd, address)
		skynet.retpack(serve(fd, address))
	end)
end

local function run_master(conf)
	local logging_in = {}	-- uid -> true, of those that are in the middle of a login

	-- The login handler's say; raises the reason to refuse, after the client has it.
	local function finish(fd, ok, server, uid, secret)
		if not ok then
			if ok == false then
				socket.write(fd, "401 Unauthorized\n")
			end
			error(ok == nil and "socket error" or server, 0)
		end
		if not conf.multilogin then
			if logging_in[uid] then
				socket.write(fd, "406 Not Acceptable\n")
				error(("User %s is already login"):format(uid), 0)
			end
			logging_in[uid] = true
		end
		local accepted, result = pcall(conf.login_handler, server, uid, secret)
		logging_in[uid] = nil
		if not accepted then
			socket.write(fd, "403 Forbidden\n")
			error(result, 0)
		end
		socket.write(fd, ("200 %s\n"):format(crypt.base64encode(result or "")))
	end

	skynet.dispatch("lua", function(_, _, cmd, ...)
		skynet.retpack(conf.command_handler(cmd, ...))
	end)

	local slaves, turn = {}, 0
	for i = 1, conf.instance or SLAVES do
		slaves[i] = skynet.newservice(SERVICE_NAME)
	end

	skynet.error(("login server listen at : %s %d"):format(conf.host, conf.port))
	socket.start(socket.listen(conf.host, conf.port), function(fd, address)
		turn = turn % #slaves + 1
		local slave = slaves[turn]
		skynet.fork(function()
			local ok, reason = pcall(function()
				finish(fd, skynet.call(slave, "lua", fd, address))
			end)
			if not ok then
				skynet.error(("invalid client (fd = %d) error = %s"):format(fd, reason))
			end
			socket.close_fd(fd)
		end)
	end)
end

return function(conf)
	local name = "." .. (conf.name or "login")
	conf.host = conf.host or "0.0.0.0"
	conf.port = assert(tonumber(conf.port))
	assert(conf.auth_handler)
	assert(conf.login_handler)
	assert(conf.command_handler)
	skynet.start(function()
		if skynet.localname(name) then
			run_slave(conf)
		else
			skynet.register(name)
			run_master(conf)
		end
	end)
end
