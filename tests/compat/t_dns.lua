-- skynet.dns against a name server that lies, truncates, is late or says nothing.
local skynet = require "skynet"
local socket = require "skynet.socket"
local dns = require "skynet.dns"
local try = require "try"

local function record(owner, kind, ttl, data)
	return owner .. string.pack(">HHI4s2", kind, 1, ttl, data)
end

local ASKED = "\xc0\x0c"	-- the name in the question
local EVIL, OTHER = "\4evil\4test\0", "\5other\4test\0"
local TRUE, FALSE = "\1\2\3\4", "\6\6\6\6"
local TRUE6 = ("\0"):rep(15) .. "\7"

-- An answer to a query. `change` may have: id, flags, question, cut; records are joined.
local function answer(query, records, change)
	change = change or {}
	local id = string.unpack(">H", query)
	local bytes = string.pack(">HHHHHH", change.id or id, change.flags or 0x8180, 1, #records, 0, 0)
		.. (change.question or query:sub(13)) .. table.concat(records)
	return change.cut and bytes:sub(1, change.cut) or bytes
end

-- A name server; script(query, say) says what it likes.
local script, asked = nil, 0
local server, port

local function serve()
	local listener, _, free = socket.listen("127.0.0.1", 0)
	socket.close(listener)
	port = free
	server = socket.udp(function(query, from)
		asked = asked + 1
		script(query, function(bytes) socket.sendto(server, from, bytes) end, from)
	end, "127.0.0.1", port)
	dns.server("127.0.0.1", port)
end

local function tells(ttl, ...)
	local data = { ... }
	return function(query, say)
		local records = {}
		for i, d in ipairs(data) do records[i] = record(ASKED, #d == 4 and 1 or 28, ttl, d) end
		say(answer(query, records))
	end
end

local function file(text)
	local path = os.tmpname()
	local f <close> = assert(io.open(path, "w"))
	f:write(text)
	return path
end

try.main(function()
	try.ours("no server is known", function()
		local configured = dns.DEFAULT_RESOLV_CONF
		dns.DEFAULT_RESOLV_CONF = "/no/such/file"
		try.raises("Call dns.server first", dns.resolve, "early.test")
		dns.DEFAULT_RESOLV_CONF = configured
	end)

	serve()
	local hosts = file "# names\n10.0.0.1 Host.test other.test # and a comment\n10.0.0.2 host.test\n::9 host.test\nnonsense\n"
	dns.DEFAULT_HOSTS = hosts

	try.case("literals come back, and nonsense does not", function()
		for _, literal in ipairs { "127.0.0.1", "::1", "fe80::1%lo" } do
			try.values({ literal }, dns.resolve(literal))
		end
		for _, name in ipairs { "", "with space", "a\0b", ("x"):rep(64) .. ".test", "n\xc3\xa4me.test" } do
			try.values({ nil, "illegal name", n = 2 }, dns.resolve(name))
		end
		try.equal(asked, 0)
	end)

	try.case("the hosts file, in any case", function()
		local first, all = dns.resolve "HOST.test"
		try.equal(first, "10.0.0.1")
		try.equal(table.concat(all, " "), "10.0.0.1 10.0.0.2")
		try.equal((dns.resolve("host.test", true)), "::9")
		try.equal(asked, 0)
	end)

	try.case("an answer is kept until its time is over, or flush", function()
		script = tells(1, TRUE, "\1\2\3\5")
		local before = asked
		local first, all = dns.resolve "kept.test"
		try.equal(first, "1.2.3.4")
		try.equal(table.concat(all, " "), "1.2.3.4 1.2.3.5")
		dns.resolve "kept.test"
		try.equal(asked - before, 1)
		skynet.sleep(120)
		dns.resolve "kept.test"
		try.equal(asked - before, 2)
		dns.flush()
		dns.resolve "kept.test"
		try.equal(asked - before, 3)
	end)

	try.case("IPv6", function()
		script = tells(60, TRUE6)
		try.equal((dns.resolve("six.test", true)), "0:0:0:0:0:0:0:7")
	end)

	try.case("an alias", function()
		script = function(query, say)
			say(answer(query, { record(ASKED, 5, 60, OTHER), record(OTHER, 1, 60, TRUE) }))
		end
		try.equal((dns.resolve "alias.test"), "1.2.3.4")
	end)

	try.case("no such name, no such address, a broken server: an error at once", function()
		for code = 1, 5 do
			script = function(query, say) say(answer(query, {}, { flags = 0x8180 | code })) end
			try.raises("timeout or no answer", dns.resolve, ("failed%d.test"):format(code))
		end
		script = tells(60)
		try.raises("timeout or no answer", dns.resolve, "nodata.test")
	end)

	try.case("two questions at once do not mix", function()
		local late
		script = function(query, say)
			local one = query:find("one", 1, true)
			local bytes = answer(query, { record(ASKED, 1, 60, one and TRUE or FALSE) })
			if one then
				late = function() say(bytes) end
			else
				say(bytes)
				late()
			end
		end
		local wait = try.later(dns.resolve, "one.test")
		skynet.sleep(2)
		try.equal((dns.resolve "two.test"), "6.6.6.6")
		local ok, address = wait()
		try.yes(ok)
		try.equal(address, "1.2.3.4")
	end)

	try.ours("what is no answer to the question is ignored, the true one is taken", function()
		local lies = {
			function(query) return answer(query, { record(ASKED, 1, 60, FALSE) }, { id = (string.unpack(">H", query) + 1) % 65536 }) end,
			function(query) return answer(query, { record(ASKED, 1, 60, FALSE) }, { question = EVIL .. "\0\1\0\1" }) end,
			function(query) return answer(query, { record(ASKED, 1, 60, FALSE) }, { question = query:sub(13, -5) .. "\0\28\0\1" }) end,
			function(query) return answer(query, { record(ASKED, 1, 60, FALSE) }, { flags = 0x0100 }) end,
			function(query) return query end,
			function(query) return query:sub(1, 2) end,
			function(query) return query:sub(1, 2) .. ("\255"):rep(500) end,
			function() return "" end,
		}
		for i, lie in ipairs(lies) do
			script = function(query, say)
				say(lie(query))
				say(answer(query, { record(ASKED, 1, 60, TRUE) }))
			end
			try.equal((dns.resolve(("lie%d.test"):format(i))), "1.2.3.4", i)
		end
	end)

	try.ours("a stranger's answer is ignored", function()
		local stranger = socket.udp(function() end, "127.0.0.1", 0)
		script = function(query, say, from)
			socket.sendto(stranger, from, answer(query, { record(ASKED, 1, 60, FALSE) }))
			skynet.timeout(3, function() say(answer(query, { record(ASKED, 1, 60, TRUE) })) end)
		end
		try.equal((dns.resolve "stranger.test"), "1.2.3.4")
		socket.close(stranger)
	end)

	-- Listens for streams where the name server is; f(query, write) says what it likes, then the stream is closed, unless it
	-- returns true.
	local streams = 0
	local function serve_streams(f)
		local id = socket.listen("127.0.0.1", port)
		socket.start(id, function(fd)
			streams = streams + 1
			socket.start(fd)
			local query = socket.read(fd, string.unpack(">I2", socket.read(fd, 2)))
			if f(query, function(bytes) socket.write(fd, bytes) end) then
				socket.readall(fd)
			end
			socket.close(fd)
		end)
		return id
	end
	local function truncated(query, say)
		say(answer(query, { record(ASKED, 1, 60, FALSE) }, { flags = 0x8380 }))
	end

	try.ours("an answer that is truncated is asked for over a stream, once", function()
		script = function(query, say)
			truncated(query, say)
			truncated(query, say)
		end
		local many = {}
		for i = 1, 200 do many[i] = "\1\2\3" .. string.char(i) end
		local whole = tells(60, table.unpack(many))
		for name, write in pairs {
			at_once = function(bytes, write) write(string.pack(">s2", bytes)) end,
			piecemeal = function(bytes, write)
				for byte in string.pack(">s2", bytes):sub(1, 40):gmatch "." do
					write(byte)
					skynet.yield()
				end
				write(string.pack(">s2", bytes):sub(41))
			end,
			with_more_behind = function(bytes, write) write(string.pack(">s2s2", bytes, bytes)) end,
		} do
			streams = 0
			local id = serve_streams(function(query, out)
				whole(query, function(bytes) write(bytes, out) end)
				return true
			end)
			local first, all = dns.resolve(name .. ".test")
			try.equal(first, "1.2.3.1")
			try.equal(#all, 200)
			try.equal(all[200], "1.2.3.200")
			try.equal(streams, 1)
			dns.resolve(name .. ".test")
			try.equal(streams, 1)
			socket.close(id)
		end
	end)

	try.ours("a stream that lies, breaks off or is not there: an error at once", function()
		script = truncated
		local function others() return { record(ASKED, 1, 60, FALSE) } end
		local lies = {
			nothing = function() end,
			half_a_length = function(_, write) write "\1" end,
			an_empty_answer = function(_, write) write "\0\0" end,
			half_an_answer = function(query, write) write(string.pack(">s2", answer(query, others())):sub(1, -2)) end,
			garbage = function(_, write) write(("\255"):rep(70000)) end,
			truncated_again = function(query, write) write(string.pack(">s2", answer(query, others(), { flags = 0x8380 }))) end,
			no_such_name = function(query, write) write(string.pack(">s2", answer(query, {}, { flags = 0x8183 }))) end,
			another_id = function(query, write)
				write(string.pack(">s2", answer(query, others(), { id = (string.unpack(">H", query) + 1) % 65536 })))
			end,
			another_question = function(query, write) write(string.pack(">s2", answer(query, others(), { question = EVIL .. "\0\1\0\1" }))) end,
			the_question = function(query, write) write(string.pack(">s2", query)) end,
		}
		for name, lie in pairs(lies) do
			local id = serve_streams(lie)
			try.raises("timeout or no answer", dns.resolve, "lie.test")
			socket.close(id)
		end
		try.raises("timeout or no answer", dns.resolve, "lie.test")
		script = tells(60, TRUE)
		try.equal((dns.resolve "lie.test"), "1.2.3.4")
	end)

	try.ours("while a stream is slow the true datagram is taken, and the stream is closed", function()
		local id = serve_streams(function() return true end)
		script = function(query, say)
			truncated(query, say)
			skynet.timeout(5, function() say(answer(query, { record(ASKED, 1, 60, TRUE) })) end)
		end
		try.equal((dns.resolve "slow.test"), "1.2.3.4")
		socket.close(id)
		try.until_true(function()
			for _, record in ipairs(socket.netstat()) do
				if record.type ~= "UDP" then return false end
			end
			return true
		end)
	end)

	try.ours("answers that are cut short or about others are refused", function()
		local good = 12 + #"\7refused\4test\0" + 4 + 16
		local answers = {
			function(query) return answer(query, { record(EVIL, 1, 60, FALSE) }) end,
			function(query) return answer(query, { record(ASKED, 1, 60, "\6\6\6") }) end,
			function(query) return answer(query, { record(ASKED, 1, 60, FALSE) }, { cut = good - 1 }) end,
			function(query) return answer(query, { record(ASKED, 5, 60, OTHER), record(OTHER, 5, 60, ASKED) }) end,
		}
		for i, bad in ipairs(answers) do
			script = function(query, say) say(bad(query)) end
			local ok, err = pcall(dns.resolve, "refused.test")
			try.equal(ok, false, i)
			try.contains(err, "timeout or no answer", i)
		end
		script = tells(60, TRUE)
		try.equal((dns.resolve "refused.test"), "1.2.3.4")
	end)

	try.ours("an old answer is better than none", function()
		script = tells(0, TRUE)
		try.equal((dns.resolve "old.test"), "1.2.3.4")
		script = tells(60)
		try.equal((dns.resolve "old.test"), "1.2.3.4")
	end)

	try.case("the resolver's file names the server", function()
		local conf = file "# resolver\nsearch test\nnameserver 127.0.0.1\nnameserver 127.0.0.9\n"
		dns.DEFAULT_RESOLV_CONF = conf
		dns.server(nil, port)
		script = tells(60, TRUE)
		try.equal((dns.resolve "configured.test"), "1.2.3.4")
		os.remove(conf)
	end)
	try.case("no server anywhere: the one that is known stays", function()
		dns.DEFAULT_RESOLV_CONF = "/no/such/file"
		dns.server()
		try.equal((dns.resolve "still.test"), "1.2.3.4")
	end)
	os.remove(hosts)
end)
