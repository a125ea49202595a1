-- skynet.netpack on real connections: a service takes socket messages itself, another one writes the bytes.
local skynet = require "skynet"
local netpack = require "skynet.netpack"
local try = require "try"

local roles = {}

-- Collects what filter says of connections, as lines. Its connections are numbered in their order.
function roles.gate()
	local driver = require "skynet.socketdriver"
	local queue
	local lines, numbers, count, port = {}, {}, 0, nil

	local function note(kind, fd, ...)
		local words = table.pack(kind, numbers[fd] or "-", ...)
		lines[#lines + 1] = table.concat(words, " ")
	end
	local function text_of(msg, sz)
		local text = netpack.tostring(msg, sz)
		assert(#text == sz)
		return ("%d:%s"):format(sz, text:sub(1, 8))
	end

	local handlers = {}
	function handlers.open(fd, address)
		count = count + 1
		numbers[fd] = count
		note("open", fd, (address:gsub(":%d+$", "")))
		driver.start(fd)
	end
	function handlers.data(fd, msg, sz) note("data", fd, text_of(msg, sz)) end
	function handlers.more()
		for fd, msg, sz in netpack.pop, queue do note("more", fd, text_of(msg, sz)) end
		assert(select("#", netpack.pop(queue)) == 0)
	end
	function handlers.close(fd)
		note("close", fd)
		driver.close(fd)
	end
	function handlers.error(fd, text) note("error", fd, text) end
	function handlers.init(_, address, listening)
		if listening > 0 then port = listening end
	end

	skynet.register_protocol {
		name = "socket",
		id = 6,	-- PTYPE_SOCKET
		unpack = function(msg, sz) return netpack.filter(queue, msg, sz) end,
		dispatch = function(_, _, q, kind, ...)
			queue = q
			if kind then handlers[kind](...) end
		end,
	}

	local commands = {}
	function commands.port() return port end
	function commands.connect(p) driver.connect("127.0.0.1", p) end
	function commands.clear() netpack.clear(queue) end
	-- the lines so far, when there are so many
	function commands.lines(n)
		if #lines >= n then
			local all = table.concat(lines, "\n")
			lines = {}
			return all
		end
	end
	skynet.start(function()
		driver.start(driver.listen("127.0.0.1", 0))
		skynet.dispatch("lua", function(_, _, command, ...) skynet.retpack(commands[command](...)) end)
	end)
end
if try.role(roles, ...) then return end

local socket = require "skynet.socket"

local function frame(bytes) return string.pack(">s2", bytes) end

try.main(function()
	try.case("pack: an empty one, a pointer, a number", function()
		try.equal(netpack.tostring(netpack.pack ""), "\0\0")
		try.equal(netpack.tostring(netpack.pack(12)), "\0\00212")
		local msg, sz = skynet.pack "abc"
		try.equal(netpack.tostring(netpack.pack(msg, sz)), frame(skynet.packstring "abc"))
		skynet.trash(msg, sz)
	end)
	try.case("pack: too long", function()
		try.raises("Invalid size (too long) of data : 65536", netpack.pack, ("x"):rep(65536))
		try.raises("string expected, got no value", netpack.pack)
	end)
	try.case("tostring, pop and clear of nothing", function()
		try.equal(netpack.tostring(nil, 0), "")
		try.raises("number expected, got no value", netpack.tostring)
		try.values({ n = 0 }, netpack.pop())
		netpack.clear()
	end)
	try.case("tostring takes the block, short or long", function()
		for _, n in ipairs { 10, 5000, 65535 } do
			local text = ("%d."):format(n):rep(n):sub(1, n)
			try.yes(netpack.tostring(netpack.pack(text)) == frame(text))
		end
	end)

	local gate = try.start "gate"
	local port = try.until_true(function() return skynet.call(gate, "lua", "port") end)
	local function lines(n)
		return try.until_true(function() return skynet.call(gate, "lua", "lines", n) end)
	end
	local number = 0
	local function connect()
		number = number + 1
		local mine = number
		local id = assert(socket.open("127.0.0.1", port))
		try.equal(lines(1), ("open %d 127.0.0.1"):format(mine))
		return id, function(text) return (text:gsub("#", mine)) end
	end

	try.case("frames one by one, also empty ones", function()
		local id, here = connect()
		for _, text in ipairs { "one", "", "three" } do
			socket.write(id, frame(text))
			try.equal(lines(1), here("data # " .. #text .. ":" .. text))
		end
		socket.close(id)
		try.equal(lines(1), here "close #")
	end)

	try.case("frames together, and a piece of the next", function()
		local id, here = connect()
		socket.write(id, frame "a" .. frame "" .. frame "ccc")
		try.equal(lines(3), here "more # 1:a\nmore # 0:\nmore # 3:ccc")
		socket.write(id, frame "d" .. "\0")
		try.equal(lines(1), here "more # 1:d")
		socket.write(id, "\5wh")
		skynet.sleep(5)
		socket.write(id, "ole")
		try.equal(lines(1), here "data # 5:whole")
		socket.close(id)
		try.equal(lines(1), here "close #")
	end)

	try.case("the longest frame, byte by byte at its borders", function()
		local id, here = connect()
		local long = frame(("L"):rep(65535))
		for _, part in ipairs { long:sub(1, 1), long:sub(2, 2), long:sub(3, 3), long:sub(4, -2), long:sub(-1) } do
			socket.write(id, part)
			skynet.sleep(2)
		end
		try.equal(lines(1), here "data # 65535:LLLLLLLL")
		socket.close(id)
		try.equal(lines(1), here "close #")
	end)

	try.case("two connections do not mix; what a closed one has begun is forgotten", function()
		local a, here = connect()
		local b, there = connect()
		socket.write(a, "\0\4fo")
		skynet.sleep(2)
		socket.write(b, "\0\4ba")
		skynet.sleep(2)
		socket.write(a, "ur")
		try.equal(lines(1), here "data # 4:four")
		socket.close(b)
		try.equal(lines(1), there "close #")
		socket.write(a, frame "still here")
		try.equal(lines(1), here "data # 10:still he")
		skynet.call(gate, "lua", "clear")
		socket.close(a)
		try.equal(lines(1), here "close #")
	end)

	try.case("a refused connection is an error", function()
		local id, _, closed = socket.listen("127.0.0.1", 0)
		socket.close(id)
		skynet.call(gate, "lua", "connect", closed)
		try.equal(lines(1), "error - Connection refused")
	end)

	try.ours("what is no socket message, and what is no queue, are errors", function()
		for _, bytes in ipairs { "", "short", ("\0"):rep(16), "few" .. string.pack("<i4i4i4i4", 1, 5, 100, 0) } do
			local msg, sz = skynet.pack(bytes)
			skynet.trash(msg, sz)
			try.raises("", netpack.filter, nil, msg, sz)	-- a block that is gone
			msg, sz = require "skynet.socketdriver".str2p(bytes)
			try.raises("invalid socket message", netpack.filter, nil, msg, sz)
			skynet.trash(msg, sz)
		end
		local msg, sz = require "skynet.socketdriver".str2p(frame "x" .. string.pack("<i4i4i4i4", 1, 5, 3, 0))
		try.raises("need a queue", netpack.filter, {}, msg, sz)
		local queue, kind, fd, data, len = netpack.filter(nil, msg, sz)
		try.equal(kind, "data")
		try.equal(fd, 5)
		try.raises("", netpack.filter, queue, data, len)
		try.equal(netpack.tostring(data, 1000), "x")
		try.raises("", netpack.tostring, data, len)
		try.raises("", netpack.tostring, skynet.unpack("\3" .. string.pack("<I8", 4096)), 5)
		skynet.trash(msg, sz)
		collectgarbage()
	end)

	try.ours("the length given is at most the block's", function()
		local msg, sz = netpack.pack "abcdef"
		try.equal(netpack.tostring(msg, sz - 3), "\0\6abc")
		try.raises("", netpack.tostring, msg, sz)
		msg = netpack.pack "abcdef"
		try.equal(netpack.tostring(msg, -1), "")
	end)
end)
