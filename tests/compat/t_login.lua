-- snax.loginserver: each way a login can end, and clients that send anything but a login.
local skynet = require "skynet"
local socket = require "skynet.socket"
local crypt = require "skynet.crypt"
local census = require "census"
local try = require "try"

local encode, decode = crypt.base64encode, crypt.base64decode
local port

-- Logs in, with what `wrong` has in place of the right lines; gives the last line of the server.
local function login(user, wrong)
	wrong = wrong or {}
	local id = try.yes(socket.open("127.0.0.1", port))
	local challenge = decode(socket.readline(id))
	local key = crypt.randomkey()
	socket.write(id, (wrong.key or encode(crypt.dhexchange(key))) .. "\n")
	local line = socket.readline(id)
	if line and not line:find " " then
		local secret = crypt.dhsecret(decode(line), key)
		socket.write(id, (wrong.hmac or encode(crypt.hmac64(challenge, secret))) .. "\n")
		socket.write(id, (wrong.token or encode(crypt.desencode(secret, user))) .. "\n")
		line = socket.readline(id)
	end
	socket.close(id)
	return line
end

-- What a client gets, behind the challenge, for these bytes, until the connection is closed.
local function blurt(bytes)
	local id = try.yes(socket.open("127.0.0.1", port))
	try.yes(socket.readline(id))
	socket.write(id, bytes)
	local text = socket.readall(id) or ""
	socket.close(id)
	return text
end

try.main(function()
	local listener
	listener, _, port = socket.listen("127.0.0.1", 0)
	socket.close(listener)
	skynet.setenv("login_port", port)
	local log = try.log()
	skynet.newservice "login_server"
	log.wait("login server listen at : 127.0.0.1 " .. port)
	local good = "200 " .. encode "game-ann-8"

	try.case("a good login, and one whose handler returns nothing", function()
		try.equal(login "ann:secret", good)
		try.equal(login "nothing:secret", "200 ")
	end)
	try.case("a user that is refused, or barred", function()
		log = try.log()
		try.equal(login "ann:guess", "401 Unauthorized")
		log.wait "wrong password"
		try.equal(login "barred:secret", "403 Forbidden")
		log.wait "barred"
	end)
	try.case("a user in the middle of another login", function()
		local first = try.later(login, "slow:secret")
		skynet.sleep(10)
		log = try.log()
		try.equal(login "slow:secret", "406 Not Acceptable")
		log.wait "User slow is already login"
		try.equal(select(2, first()), "200 " .. encode "game-slow-8")
		try.equal(login "slow:secret", "200 " .. encode "game-slow-8")
	end)
	try.case("lines that are wrong", function()
		for wrong, reason in pairs {
			[{ key = "abc" }] = "Invalid client key",
			[{ key = "" }] = "Invalid client key",
			[{ key = "!!!!" }] = "Invalid base64 text",
			[{ key = encode(("\0"):rep(8)) }] = "Can't be 0",
			[{ hmac = encode "12345678" }] = "challenge failed",
			[{ token = "abcd" }] = "Invalid des crypt text length 3",
			[{ token = "!" }] = "Invalid base64 text",
		} do
			log = try.log()
			try.equal(login("ann:secret", wrong), "401 Unauthorized", reason)
			log.wait(reason)
		end
	end)
	try.case("a client that leaves, and one that never ends its line", function()
		log = try.log()
		local id = try.yes(socket.open("127.0.0.1", port))
		socket.close(id)
		log.wait "auth failed: socket"
		log.wait "error ="
		try.no(login("ann:secret", { key = ("x"):rep(9000) }))
		log.wait "socket buffer overflow"
	end)
	try.case("commands", function()
		try.values({ "command", "status", 1 }, skynet.call(".login_test", "lua", "status", 1))
	end)
	try.ours("the connection is closed with the last line", function()
		try.equal(blurt "bad key\n", "401 Unauthorized\n")
	end)
	try.ours("those who say nothing are not waited for, and hold nobody up", function()
		local slow = {}
		for i = 1, 20 do slow[i] = try.later(blurt, i % 2 == 0 and "" or "eA") end
		try.equal(login "ann:secret", good)
		for i = 1, 20 do try.equal(select(2, slow[i]()), "") end
	end)
	try.ours("anything may come before a login: it ends, others log in, nothing is left behind", function()
		math.randomseed(3, 5)
		local function garbage()
			local bytes = {}
			for i = 1, math.random(1, 60) do bytes[i] = string.char(math.random(0, 255)) end
			return table.concat(bytes) .. "\n"
		end
		census.steady(20, function(round)
			local ends = {}
			for i = 1, 5 do ends[i] = try.later(blurt, garbage()) end
			try.equal(login("ann:secret", round % 2 == 0 and { hmac = encode(garbage()) } or { token = encode(garbage()) }), "401 Unauthorized")
			try.equal(login "ann:secret", good)
			for i = 1, 5 do
				local _, text = ends[i]()
				try.yes(text == "" or text == "401 Unauthorized\n" or #text == 13 or #text == 30, tostring(text))
			end
		end)
	end)
end)
