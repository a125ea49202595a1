-- A login server for t_login. Users are `name:password`; some names are special.
local skynet = require "skynet"
local login = require "snax.loginserver"

login {
	host = "127.0.0.1",
	port = skynet.getenv "login_port",
	name = "login_test",
	instance = 2,
	multilogin = false,
	handshake_timeout = 100,
	auth_handler = function(token)
		local user, password = token:match "^(.-):(.*)$"
		assert(password == "secret", "wrong password")
		return "game", user
	end,
	login_handler = function(server, uid, secret)
		if uid == "barred" then error "barred" end
		if uid == "slow" then skynet.sleep(30) end
		if uid == "nothing" then return nil end
		return ("%s-%s-%d"):format(server, uid, #secret)
	end,
	command_handler = function(...) return "command", ... end,
}
