-- A message server for t_msgserver. Tells its caller of open what it hears, by the protocol lua.
local skynet = require "skynet"
local msgserver = require "snax.msgserver"

local runs, servername = 0, nil
local ids = {}

local function username(uid) return msgserver.username(uid, ids[uid], servername) end

msgserver.start {
	expired_number = 4,
	handshake_timeout = 100,
	register_handler = function(name) servername = name end,
	login_handler = function(uid, secret)
		ids[uid] = (ids[uid] or 0) + 1
		msgserver.login(username(uid), secret)
		return ids[uid]
	end,
	logout_handler = function(uid, subid)
		assert(subid == ids[uid])
		msgserver.logout(username(uid))
	end,
	kick_handler = function(uid) return msgserver.ip(username(uid)) end,
	disconnect_handler = function(name) skynet.error("gone " .. msgserver.userid(name)) end,
	request_handler = function(name, text)
		runs = runs + 1
		if text == "fail" then error "asked to fail" end
		if text == "nothing" then return nil end
		if text == "slow" then skynet.sleep(20) end
		if text == "long" then return ("x"):rep(65536) end
		return ("%s %s %d"):format(msgserver.userid(name), text, runs)
	end,
}
