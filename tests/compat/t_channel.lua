-- skynet.socketchannel: servers that close, refuse, talk out of turn or answer late; auth, backups, other places.
local skynet = require "skynet"
local socket = require "skynet.socket"
local socketchannel = require "skynet.socketchannel"
local try = require "try"

-- A server of lines. answer(line, fd) gives the line to send, nil for none, false to close. Also: how many have connected.
local function serve(answer, port)
	local connections = 0
	local id, _, listening = socket.listen("127.0.0.1", port or 0)
	socket.start(id, function(fd)
		connections = connections + 1
		socket.start(fd)
		for line in function() return socket.readline(fd) or nil end do
			local text = answer(line, fd)
			if text == false then break end
			if text then socket.write(fd, text .. "\n") end
		end
		socket.close(fd)
	end)
	return listening, function() return connections end, id
end

local function echo(line)
	if line == "close" then return false end
	return line ~= "silent" and line or nil
end

local function dead_port()
	local id, _, port = socket.listen("127.0.0.1", 0)
	socket.close(id)
	return port
end

local function new(port, desc)
	desc = desc or {}
	desc.host, desc.port = "127.0.0.1", port
	return socketchannel.channel(desc)
end

-- a channel to a server of its own
local function to(answer, desc) return new((serve(answer)), desc) end

local function read_line(sock) return true, sock:readline() end

-- f(...) must raise the channel's error object
local function lost(f, ...)
	local ok, err = pcall(f, ...)
	try.equal(ok, false)
	try.yes(err == socketchannel.error, tostring(err))
end

-- the call that was made with try.later must have ended so
local function was_lost(wait)
	local ok, err = wait()
	try.equal(ok, false)
	try.yes(err == socketchannel.error, tostring(err))
end

-- sessions are "<session> <text>"; the text "false" fails, and those with a p have a successor
local function by_session(sock)
	local line = sock:readline()
	if line == "raise" then error "out of sessions" end
	if line == "nil" then return nil end
	local session, text = line:match "^(%d+) (.*)$"
	return tonumber(session), text ~= "false", text, text:sub(1, 1) == "p"
end

try.main(function()
	try.case("the error object", function()
		try.equal(tostring(socketchannel.error), "[Error: socket]")
		try.raises("assertion failed!", socketchannel.channel, {})
	end)

	try.case("refused: connect once and request raise, and say so in the log", function()
		local port = dead_port()
		local c, log = new(port), try.log()
		lost(c.connect, c, true)
		try.yes(log.wait(("Connect failed Connection refused 127.0.0.1 %d"):format(port)))
		lost(c.request, c, "x\n", read_line)
	end)

	try.case("connect until it works: everybody shares the attempt", function()
		local port = dead_port()
		local c, log = new(port), try.log()
		local first, second = try.later(c.connect, c), try.later(c.connect, c)
		log.wait "socket: connect Connection refused"
		local third, fourth = try.later(c.connect, c, true), try.later(c.request, c, "hello\n", read_line)
		local _, connections, id = serve(echo, port)
		for _, wait in ipairs { first, second, third } do try.values({ true, true }, wait()) end
		try.values({ true, "hello" }, fourth())
		try.equal(connections(), 1)
		log.wait(("socket: connect to 127.0.0.1 %d"):format(port))
		c:close()
		socket.close(id)
	end)

	try.case("closed while it tries: connect gives false", function()
		local c, log = new(dead_port()), try.log()
		local wait = try.later(c.connect, c)
		log.wait "socket: connect Connection refused"
		c:close()
		try.values({ true, false }, wait())
	end)

	try.case("a closed channel stays closed until connect", function()
		local c = to(echo)
		try.equal(c:request("a\n", read_line), "a")
		local one, two = try.later(c.response, c, read_line), try.later(c.response, c, read_line)
		skynet.sleep(2)
		c:close()
		was_lost(one)
		was_lost(two)
		try.raises("assertion failed!", c.request, c, "a\n", read_line)
		try.raises("assertion failed!", c.response, c, read_line)
		c:close()
		try.equal(c:connect(true), true)
		try.equal(c:request("b\n", read_line), "b")
		c:close()
	end)

	try.case("the peer closes in the middle of an answer: all who wait fail, the next one connects again", function()
		local port, connections = serve(function(line, fd)
			if line == "half" then socket.write(fd, "no end of li") return false end
			return line
		end)
		local c = new(port)
		local before = try.later(c.request, c, "half\n", read_line)
		local behind = { try.later(c.request, c, "a\n", read_line), try.later(c.response, c, read_line) }
		was_lost(before)
		for _, wait in ipairs(behind) do was_lost(wait) end
		try.equal(c:request("b\n", read_line), "b")
		try.equal(connections(), 2)
		c:close()
	end)

	try.case("the peer closes while nobody waits: logged, and the next one connects again", function()
		local port, connections = serve(echo)
		local c, log = new(port), try.log()
		c:request "close\n"
		log.wait(("socket closed by peer :  127.0.0.1 %d"):format(port))
		try.equal(c:request("a\n", read_line), "a")
		try.equal(connections(), 2)
		c:close()
	end)

	try.case("what nobody asked for is read by the next", function()
		local c = to(echo)
		c:request "out of turn\n"
		skynet.sleep(2)
		try.equal(c:request("a\n", read_line), "out of turn")
		try.equal(c:response(read_line), "a")
		c:close()
	end)

	try.case("a response function raises: all who wait get that, and the connection ends", function()
		local port, connections = serve(echo)
		local c = new(port)
		local waits = {
			try.later(c.request, c, "a\n", function(sock)
				sock:readline()
				error "cannot read this"
			end),
			try.later(c.request, c, "b\n", read_line),
			try.later(c.response, c, read_line),
		}
		for _, wait in ipairs(waits) do
			local ok, err = wait()
			try.equal(ok, false)
			try.matches(err, "cannot read this$")
		end
		try.equal(c:request("c\n", read_line), "c")
		try.equal(connections(), 2)
		c:close()
	end)

	try.case("what a response function says", function()
		local c = to(echo)
		local function says(...)
			local values = table.pack(...)
			return function(sock)
				sock:readline()
				return table.unpack(values, 1, values.n)
			end
		end
		try.equal(c:request("a\n", says(true, 12)), 12)
		try.equal(c:request("a\n", says(true)), nil)
		try.raises_at("refused", c.request, c, "a\n", says(false, "refused"))
		local what = {}
		local ok, err = pcall(c.request, c, "a\n", says(false, what))
		try.yes(not ok and err == what)
		try.equal((pcall(c.request, c, "a\n", says(false))), false)
		try.equal((pcall(c.request, c, "a\n", says())), false)
		try.equal(c:request("the connection goes on\n", read_line), "the connection goes on")
		c:close()
	end)

	try.case("answers in parts, requests in parts", function()
		local c = to(echo)
		local parts = c:request("a\nb\nc\n", function(sock)
			local line = sock:readline()
			return true, line, line ~= "c"
		end)
		try.equal(table.concat(parts, ","), "a,b,c")
		try.raises("b", c.request, c, "a\nb\n", function(sock)
			local line = sock:readline()
			return line == "a", line, true
		end)
		try.equal(c:request({ "ab", "cd\n" }, read_line), "abcd")
		try.equal(c:request("a", read_line, { "b", "c", "d\n" }), "abcd")
		c:close()
	end)

	try.case("sessions: answers, refusals, parts, and one that nobody waits for", function()
		local log = try.log()
		local c = to(function(line) return (line:gsub("|", "\n")) end, { response = by_session })
		try.equal(c:request("1 one\n", 1), "one")
		try.raises_at("false", c.request, c, "2 false\n", 2)
		try.equal(table.concat(c:request("3 p1|3 p2|3 end\n", 3), ","), "p1,p2,end")
		c:request "99 what\n"
		log.wait "socket: unknown session : 99"
		try.equal(c:request("4 four\n", 4), "four")
		c:close()
	end)

	try.case("sessions: garbage fails all who wait, and the next one connects again", function()
		for garbage, text in pairs { raise = "out of sessions", ["no number"] = "attempt", ["nil"] = "Error: socket" } do
			local port, connections = serve(echo)
			local c = new(port, { response = by_session })
			local waits = { try.later(c.request, c, "silent\n", 1), try.later(c.request, c, garbage .. "\n", 2) }
			for _, wait in ipairs(waits) do
				local ok, err = wait()
				try.equal(ok, false)
				if garbage ~= "no number" then try.contains(tostring(err), text) end
			end
			try.equal(c:request("3 three\n", 3), "three")
			try.equal(connections(), 2)
			c:close()
		end
	end)

	try.case("sessions: a lost connection, a closed channel", function()
		local c = to(echo, { response = by_session })
		local waits = { try.later(c.request, c, "silent\n", 1), try.later(c.request, c, "close\n", 2) }
		for _, wait in ipairs(waits) do was_lost(wait) end
		waits = { try.later(c.request, c, "silent\n", 1), try.later(c.response, c, 5) }
		skynet.sleep(2)
		c:close()
		for _, wait in ipairs(waits) do was_lost(wait) end
	end)

	try.ours("sessions: one that is used again fails who waits for it", function()
		local c = to(echo, { response = by_session })
		local wait = try.later(c.request, c, "silent\n", 1)
		skynet.sleep(2)
		try.equal(c:request("1 again\n", 1), "again")
		was_lost(wait)
		c:close()
	end)

	try.case("auth comes first, and alone", function()
		local port, connections = serve(echo)
		local order = {}
		local c
		c = new(port, { auth = function(channel)
			try.yes(channel == c)
			try.equal(channel:connect(true), true)
			skynet.sleep(3)
			order[#order + 1] = channel:request("login\n", read_line)
		end })
		local waits = { try.later(c.request, c, "a\n", read_line), try.later(c.connect, c, true) }
		skynet.sleep(1)
		waits[3] = try.later(c.request, c, "b\n", function(sock)
			order[#order + 1] = sock:readline()
			return true, "b"
		end)
		try.values({ true, "a" }, waits[1]())
		try.values({ true, true }, waits[2]())
		try.values({ true, "b" }, waits[3]())
		try.equal(table.concat(order, " "), "login b")
		try.equal(connections(), 1)
		c:close()
	end)

	try.case("auth fails", function()
		local port = serve(echo)
		local log = try.log()
		local c = new(port, { auth = function() error "wrong password" end })
		lost(c.connect, c, true)
		log.wait "wrong password"
		log.wait(("Connect failed no more backup host 127.0.0.1 %d"):format(port))
		lost(c.request, c, "a\n", read_line)
		c = new(port, { auth = function(channel) channel:request("close\n", read_line) end })
		lost(c.connect, c, true)
		local tries = 0
		c = new(port, { auth = function()
			tries = tries + 1
			if tries < 3 then error "not yet" end
		end })
		try.equal(c:connect(), true)
		try.equal(tries, 3)
		c:close()
		c = new(port, { auth = function() return false, "results are not looked at" end })
		try.equal(c:connect(true), true)
		c:close()
	end)

	try.case("closed while auth runs", function()
		local c = to(echo, { auth = function(channel)
			skynet.sleep(5)
			channel:request("login\n", read_line)
		end })
		local connecting, asking = try.later(c.connect, c, true), try.later(c.request, c, "a\n", read_line)
		skynet.sleep(2)
		c:close()
		try.values({ true, false }, connecting())
		local ok, err = asking()
		try.equal(ok, false)
		try.contains(err, "assertion failed!")
	end)

	try.case("another place: what waits fails, what follows goes there", function()
		local one, two = serve(echo), serve(function(line) return "two:" .. line end)
		local c = new(one)
		try.equal(c:request("a\n", read_line), "a")
		local wait = try.later(c.response, c, read_line)
		skynet.sleep(2)
		c:changehost("127.0.0.1", two)
		was_lost(wait)
		try.equal(c:request("a\n", read_line), "two:a")
		c:changehost "127.0.0.1"	-- the port stays
		try.equal(c:request("b\n", read_line), "two:b")
		c:close()
		local places = 0
		c = new(one, { auth = function(channel)
			places = places + 1
			if places == 1 then channel:changehost("127.0.0.1", two) end
		end })
		try.equal(c:request("a\n", read_line), "two:a")
		try.equal(places, 2)
		c:close()
	end)

	try.case("backups in their order", function()
		local dead, also_dead, port = dead_port(), dead_port(), serve(function(line) return "backup:" .. line end)
		local log = try.log()
		local c = new(dead, { backup = { { host = "127.0.0.1", port = also_dead }, { host = "127.0.0.1", port = port } } })
		try.equal(c:request("a\n", read_line), "backup:a")
		log.wait(("socket: connect to backup host 127.0.0.1 %d"):format(also_dead))
		log.wait(("socket: connect to backup host 127.0.0.1 %d"):format(port))
		c:close()
		c = socketchannel.channel { host = "127.0.0.2", port = port, backup = { "127.0.0.1" } }
		try.equal(c:request("a\n", read_line), "backup:a")
		c:close()
		c = new(dead, { backup = { { host = "127.0.0.1", port = also_dead } } })
		lost(c.connect, c, true)
		log.wait(("Connect failed Connection refused 127.0.0.1 %d"):format(dead))
		c:changebackup { { host = "127.0.0.1", port = port } }
		try.equal(c:request("a\n", read_line), "backup:a")
		c:close()
	end)

	try.case("auth decides for a backup", function()
		local main, other = serve(echo), serve(function(line) return "backup:" .. line end)
		local refused = 0
		local c = new(main, {
			backup = { { host = "127.0.0.1", port = other } },
			auth = function(channel)
				if channel:request("who\n", read_line) == "who" then
					refused = refused + 1
					error "not this one"
				end
			end,
		})
		try.equal(c:request("a\n", read_line), "backup:a")
		try.equal(refused, 1)
		c:close()
	end)

	try.case("overload begins and ends", function()
		local slow
		local id, _, port = socket.listen("127.0.0.1", 0)
		socket.start(id, function(fd)
			socket.start(fd)
			socket.pause(fd)
			slow = fd
		end)
		local calls = {}
		local c = new(port, { nodelay = true, overload = function(on) calls[#calls + 1] = tostring(on) end })
		c:connect(true)
		try.until_true(function() return slow end)
		for _ = 1, 12 do c:request(("x"):rep(1 << 20)) end
		try.until_true(function() return calls[1] == "true" end)
		skynet.fork(function() while socket.read(slow) do end end)
		try.until_true(function() return calls[#calls] == "false" end)
		try.equal(#calls % 2, 0)
		c:close()
		socket.close(id)
	end)

	try.case("reading functions of one's own", function()
		local c = to(echo, { socket_readline = function(sock, separator)
			return socket.readline(sock[1]) .. separator
		end })
		try.equal(c:request("a\n", function(sock) return true, sock:readline "!" end), "a!")
		c:close()
	end)

	try.ours("a channel can be closed by a finalizer", function()
		local c = to(echo)
		local wait = try.later(c.response, c, read_line)
		skynet.sleep(2)
		setmetatable({}, { __gc = function() c:close() end })
		collectgarbage()
		was_lost(wait)
	end)

	try.case("bad arguments leave the channel as it was", function()
		local c = to(echo)
		try.equal((pcall(c.request, c, nil, read_line)), false)
		try.equal((pcall(c.request, c, { "a", {} }, read_line)), false)
		try.equal(c:request("a\n", read_line), "a")
		try.equal((pcall(c.request, c, "b\n", 5)), false)
		try.equal(c:request("c\n", read_line), "c")
		c:close()
	end)
end)
