-- snax.msgserver: a gate server for users who have logged in. Each connection opens with a handshake of its user; requests have
-- a session, by which a client that has lost its connection gets their answers on the next one.
local skynet = require "skynet"
local crypt = require "skynet.crypt"
local gateserver = require "snax.gateserver"
local netpack = require "skynet.netpack"
local driver = require "skynet.socketdriver"

local server = {}

local EXPIRED_NUMBER = 128
local HANDSHAKE_CS = 3000
local MAX_FRAME_BYTES = 65535

local users = {}	-- user name -> what server.login makes
local waiting = {}	-- fd -> { address }, of connections that have not said who they are
local connection = {}	-- fd -> user

local encode, decode = crypt.base64encode, crypt.base64decode

function server.userid(username)
	local uid, servername, subid = username:match "([^@]*)@([^#]*)#(.*)"
	return decode(uid), decode(subid), decode(servername)
end

function server.username(uid, subid, servername)
	return ("%s@%s#%s"):format(encode(uid), encode(servername), encode(tostring(subid)))
end

function server.login(username, secret)
	assert(users[username] == nil)
	users[username] = {
		username = username,
		secret = secret,
		version = 0,	-- the number of its last handshake
		count = 0,	-- answers so far, reduced when old ones are forgotten
		responses = {},	-- session -> see `respond`
	}
end

function server.logout(username)
	local user = users[username]
	users[username] = nil
	if user and user.fd then
		gateserver.closeclient(user.fd)
	end
end

function server.ip(username)
	local user = users[username]
	return user and user.fd and user.address
end

-- Forgets the older half of the answers that nobody waits for.
local function forget_old(user, expired)
	if user.count < expired * 2 then
		return
	end
	local highest = 0
	for session, response in pairs(user.responses) do
		if not response.fd then
			if response.count < expired then
				user.responses[session] = nil
			else
				response.count = response.count - expired
				highest = math.max(highest, response.count)
			end
		end
	end
	user.count = highest + 1
end

-- The frame of an answer; an answer that is too long is a failed one.
local function answer_frame(ok, result, session)
	if ok and #result + 5 > MAX_FRAME_BYTES then
		skynet.error(("Response of session %d is too long : %d"):format(session, #result))
		ok = false
	end
	return string.pack(">s2", (ok and result or "") .. string.pack(">BI4", ok and 1 or 0, session))
end

-- A request. In `user.responses` there is for each session: `frame`, the answer once there is one; `fd`, where it is to be sent,
-- until it has been; `version`, the handshake that last asked for it; `count`, its age.
local function respond(conf, user, fd, text)
	local session = string.unpack(">I4", text, -4)
	local response = user.responses[session]
	if response and response.version == user.version then
		-- the same connection begins a new request under an old number
		if not response.frame then
			error(("Conflict session %s"):format(crypt.hexencode(text:sub(-4))))
		end
		response = nil
	end
	if response then
		response.fd, response.version, response.count = fd, user.version, user.count
		if not response.frame then
			return	-- sent when it is there
		end
	else
		response = { fd = fd, version = user.version, count = user.count }
		user.responses[session] = response
		local ok, result = pcall(conf.request_handler, user.username, text:sub(1, -5))
		if not ok then
			skynet.error(result)
		end
		response.frame = answer_frame(ok, result or "", session)
		response.count = user.count
	end
	user.count = user.count + 1
	if connection[response.fd] then
		driver.send(response.fd, response.frame)
	end
	response.fd = nil
	forget_old(user, conf.expired_number or EXPIRED_NUMBER)
end

-- The first frame of a connection: nil and what is wrong, or the user.
local function identify(text)
	local username, index, hmac = text:match "([^:]*):([^:]*):([^:]*)"
	local user = users[username]
	if not user then
		return nil, "404 User Not Found"
	end
	local version = tonumber(index)
	local decoded, mac = pcall(decode, hmac)
	if not version or not decoded then
		return nil, "400 Bad Request"
	end
	if version <= user.version then
		return nil, "403 Index Expired"
	end
	if crypt.hmac_hash(user.secret, username .. ":" .. index) ~= mac then
		return nil, "401 Unauthorized"
	end
	user.version = version
	return user
end

local function shake_hands(fd, text)
	local address = waiting[fd].address
	waiting[fd] = nil
	local user, wrong = identify(text)
	driver.send(fd, netpack.pack(wrong or "200 OK"))
	if not user then
		gateserver.closeclient(fd)
		return
	end
	local before = user.fd
	user.fd, user.address = fd, address
	connection[fd] = user
	if before then
		-- one connection a user; its answers go to the new one
		connection[before] = nil
		gateserver.closeclient(before)
	end
end

function server.start(conf)
	local patience = conf.handshake_timeout or HANDSHAKE_CS
	local command = {
		login = assert(conf.login_handler),
		logout = assert(conf.logout_handler),
		kick = assert(conf.kick_handler),
	}
	assert(conf.request_handler)
	local handler = {}

	function handler.command(cmd, _, ...)
		return assert(command[cmd])(...)
	end

	function handler.open(_, gateconf)
		return conf.register_handler(assert(gateconf.servername))
	end

	function handler.connect(fd, address)
		local known = { address = address }
		waiting[fd] = known
		skynet.timeout(patience, function()
			if waiting[fd] == known then
				gateserver.closeclient(fd)
			end
		end)
		gateserver.openclient(fd)
	end

	function handler.disconnect(fd)
		waiting[fd] = nil
		local user = connection[fd]
		connection[fd] = nil
		if user then
			user.fd = nil
			if conf.disconnect_handler then
				conf.disconnect_handler(user.username)
			end
		end
		gateserver.closeclient(fd)
	end

	function handler.message(fd, msg, sz)
		local text = netpack.tostring(msg, sz)
		if waiting[fd] then
			return shake_hands(fd, text)
		end
		local user = connection[fd]
		if not user then
			return	-- on its way out
		end
		local ok, reason = pcall(respond, conf, user, fd, text)
		if not ok then
			skynet.error(("Invalid package %s : %s"):format(reason, text))
			if connection[fd] then
				gateserver.closeclient(fd)
			end
		end
	end

	gateserver.start(handler)
end

return server
