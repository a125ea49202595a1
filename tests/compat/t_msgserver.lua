-- snax.msgserver: handshakes, requests and their answers over several connections, and frames that no client sends.
local skynet = require "skynet"
local socket = require "skynet.socket"
local crypt = require "skynet.crypt"
local census = require "census"
local try = require "try"

local encode = crypt.base64encode
local SECRET = "8 bytes!"

try.main(function()
	local gate = skynet.newservice "msg_server"
	local listener, _, port = socket.listen("127.0.0.1", 0)
	socket.close(listener)
	skynet.call(gate, "lua", "open", { address = "127.0.0.1", port = port, servername = "game" })

	local function connect()
		return try.yes(socket.open("127.0.0.1", port))
	end
	local function send(id, text) socket.write(id, string.pack(">s2", text)) end
	local function read(id)
		local header = socket.read(id, 2)
		return header and socket.read(id, (string.unpack(">I2", header)))
	end
	local function user(name)
		local subid = skynet.call(gate, "lua", "login", name, SECRET)
		return ("%s@%s#%s"):format(encode(name), encode "game", encode(tostring(subid))), subid
	end
	local function hello(username, index, secret)
		local text = ("%s:%s"):format(username, index)
		return text .. ":" .. encode(crypt.hmac64(crypt.hashkey(text), secret or SECRET))
	end
	local function enter(username, index)
		local id = connect()
		send(id, hello(username, index))
		try.equal(read(id), "200 OK")
		return id
	end
	local function ask(id, text, session) send(id, text .. string.pack(">I4", session)) end
	local function answer(id)
		local text = read(id)
		if not text then return nil end
		local ok, session = string.unpack(">BI4", text, -5)
		return text:sub(1, -6), ok, session
	end
	-- A frame instead of a handshake: the server's word, then the end.
	local function refused(frame, want)
		local id = connect()
		send(id, frame)
		try.equal(read(id), want)
		try.equal((socket.read(id)), false)
		socket.close(id)
	end

	try.case("handshakes that are refused", function()
		local ann = user "ann"
		refused("", "404 User Not Found")
		refused("no form at all", "404 User Not Found")
		refused(hello("bob", 1), "404 User Not Found")
		refused(hello(ann, 0), "403 Index Expired")
		refused(hello(ann, "x"), "400 Bad Request")
		refused(ann .. ":1:!!!", "400 Bad Request")
		refused(hello(ann, 1, "another!"), "401 Unauthorized")
		local id = enter(ann, 3)
		socket.close(id)
		refused(hello(ann, 3), "403 Index Expired")
		socket.close(enter(ann, 4))
	end)
	try.case("requests, failures, and answers of nothing", function()
		local bert = user "bert"
		local id = enter(bert, 1)
		ask(id, "hello", 7)
		local text, ok, session = answer(id)
		try.matches(text, "^bert hello %d+$")
		try.equal(ok, 1)
		try.equal(session, 7)
		ask(id, "fail", 8)
		try.values({ "", 0, 8 }, answer(id))
		ask(id, "nothing", 9)
		try.values({ "", 1, 9 }, answer(id))
		socket.close(id)
	end)
	try.case("answers come as they are ready", function()
		local id = enter(user "carl", 1)
		ask(id, "slow", 1)
		ask(id, "quick", 2)
		try.equal(select(3, answer(id)), 2)
		try.equal(select(3, answer(id)), 1)
		ask(id, "again", 1)
		try.matches(answer(id), "^carl again")
		socket.close(id)
	end)
	try.case("on the next connection a session gives the answer that was made, or is being made", function()
		local dora = user "dora"
		local id = enter(dora, 1)
		ask(id, "once", 1)
		local first = answer(id)
		ask(id, "slow", 2)
		skynet.sleep(5)
		socket.close(id)
		id = enter(dora, 2)
		ask(id, "whatever", 1)
		try.equal(answer(id), first)
		ask(id, "whatever", 2)
		try.matches(answer(id), "^dora slow")
		socket.close(id)
	end)
	try.case("the oldest answers are forgotten", function()
		local emil = user "emil"
		local id = enter(emil, 1)
		local answers = {}
		for i = 1, 9 do
			ask(id, "text", i)
			answers[i] = answer(id)
		end
		socket.close(id)
		id = enter(emil, 2)
		ask(id, "text", 9)
		try.equal(answer(id), answers[9])
		ask(id, "text", 1)
		try.yes(answer(id) ~= answers[1])
		socket.close(id)
	end)
	try.case("logout ends the connection; the user is unknown then; kick and ip", function()
		local name, subid = user "fred"
		local id = enter(name, 1)
		try.matches(skynet.call(gate, "lua", "kick", "fred"), "^127.0.0.1:%d+$")
		skynet.call(gate, "lua", "logout", "fred", subid)
		try.equal((socket.read(id)), false)
		socket.close(id)
		refused(hello(name, 2), "404 User Not Found")
		try.raises("call failed", skynet.call, gate, "lua", "no such command")
	end)
	try.case("a frame without a session ends the connection", function()
		local id = enter(user "gina", 1)
		send(id, "abc")
		try.equal(read(id), false)
		socket.close(id)
	end)
	try.ours("a number whose request is under way ends the connection", function()
		local id = enter(user "lena", 1)
		ask(id, "slow", 3)
		ask(id, "other", 3)
		try.equal(read(id), false)
		socket.close(id)
	end)
	try.ours("a second connection of a user ends the first", function()
		local name = user "hans"
		local first = enter(name, 1)
		local second = enter(name, 2)
		try.equal(read(first), false)
		ask(second, "here", 1)
		try.matches(answer(second), "^hans here")
		socket.close(first)
		socket.close(second)
	end)
	try.ours("an answer that is too long for a frame is a failed one", function()
		local id = enter(user "ida", 1)
		ask(id, "long", 1)
		try.values({ "", 0, 1 }, answer(id))
		socket.close(id)
	end)
	try.ours("those who say nothing, or half a frame, are not waited for", function()
		local ids = {}
		for i = 1, 20 do
			ids[i] = connect()
			socket.write(ids[i], i % 2 == 0 and "\0" or "\255\255half")
		end
		local id = enter(user "jana", 1)
		ask(id, "hello", 1)
		try.matches(answer(id), "^jana hello")
		for i = 1, 20 do
			try.equal((socket.read(ids[i])), false)
			socket.close(ids[i])
		end
		socket.close(id)
	end)
	try.ours("any frames may come: others are served, nothing is left behind", function()
		math.randomseed(9, 4)
		local karl = user "karl"
		local index = 0
		local function garbage()
			local bytes = {}
			for i = 1, math.random(0, 40) do bytes[i] = string.char(math.random(0, 255)) end
			return table.concat(bytes)
		end
		local id = enter(karl, 0.5)
		census.steady(20, function(round)
			for _ = 1, 5 do
				local stranger = connect()
				send(stranger, garbage())
				try.matches(read(stranger), "^40%d ")
				socket.close(stranger)
			end
			local rude = connect()
			socket.write(rude, "\255\255" .. garbage())
			socket.close(rude)
			ask(id, "hello", round)
			try.matches(answer(id), "^karl hello")
		end)
		socket.close(id)
	end)
end)
