-- skynet.stm and skynet.sharemap beyond c_stm: what a value may be, what becomes of readers whose writer is gone, tickets that are none
-- or used up, errors in the middle, waiting, and that nothing is left behind.
local skynet = require "skynet"
local stm = require "skynet.stm"
local sharemap = require "skynet.sharemap"
local sprotoloader = require "sprotoloader"
local sprotoparser = require "sprotoparser"
local try = require "try"

local schema = [[
.player { name 0 : string level 1 : integer items 2 : *string }
.odd { wait 0 : integer copied 1 : boolean }
]]

local roles = {}

-- Takes tickets and reads.
function roles.reader()
	local reader, map
	local command = {}
	function command.open(ticket) reader = stm.newcopy(ticket) return true end
	function command.read() return reader(skynet.unpack) end
	function command.wait(ti) return reader:wait(ti) end
	function command.openmap(...) map = sharemap.reader(...) return map.name, map.level end
	function command.waitmap(ti)
		if sharemap.wait(map, ti) then map:update() end
		return map.name, map.level
	end
	function command.taken(ticket) return pcall(stm.newcopy, ticket) end
	function command.leave() reader, map = nil, nil collectgarbage() end
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, name, ...) skynet.retpack(command[name](...)) end)
	end)
end

-- Has a writer, and ends with it.
function roles.writer()
	local writer = stm.new(skynet.pack "first")
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, what, ...)
			if what == "copy" then return skynet.retpack(stm.copy(writer)) end
			if what == "write" then return skynet.retpack(writer(skynet.pack(...))) end
			skynet.retpack()
			skynet.exit()
		end)
	end)
end

-- Many of these follow one writer.
function roles.follower(ticket)
	local last, seen = 0, 0
	local reader
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, what, given)
			if what == "open" then
				reader = stm.newcopy(given)
				return skynet.retpack()
			end
			local changed, n, bytes = reader(skynet.unpack)
			if changed then
				assert(n > last, "a reader went back")
				assert(#bytes == 1000 and bytes == string.char(n % 256):rep(1000), "a mixture of two values")
				last, seen = n, seen + 1
			end
			skynet.retpack(last, seen)
		end)
	end)
end

if try.role(roles, ...) then return end

local function reader_of(writer) return stm.newcopy(stm.copy(writer)) end
local function kill(address) skynet.send(address, "debug", "EXIT") end

try.main(function()
	sprotoloader.save(sprotoparser.parse(schema), 0)

	try.case("a value is a string, a number, or a message that is taken over", function()
		local writer = stm.new "text"
		local reader = reader_of(writer)
		try.values({ true, "text" }, reader(skynet.tostring))
		writer(12)
		try.values({ true, "12" }, reader(skynet.tostring))
		try.values({ n = 0 }, writer(skynet.pack("a", 1)))
		try.values({ true, "a", 1 }, reader(skynet.unpack))
		writer ""
		try.values({ true, 0, "ud" }, reader(function(_, sz, ud) return sz, ud end, "ud"))
		local empty = reader_of(stm.new(skynet.pack()))
		try.values({ true, 0 }, empty(function(_, sz) return sz end))
		local long = ("x"):rep(100000)
		writer(long)
		try.values({ true, long }, reader(skynet.tostring))
	end)

	try.case("the function gets a pointer, a size and nil without user data", function()
		local reader = reader_of(stm.new "abc")
		local changed, kind, sz, ud, n = reader(function(...) return type(...), select(2, ...), select(3, ...), select("#", ...) end)
		try.equal(changed, true)
		try.equal(kind, "userdata")
		try.equal(sz, 3)
		try.equal(ud, nil)
		try.equal(n, 3)
	end)

	try.case("values that are none", function()
		try.raises("string expected, got no value", stm.new)
		try.raises("string expected, got table", stm.new, {})
		local writer = stm.new "kept"
		local reader = reader_of(writer)
		try.raises("string expected, got nil", writer, nil)
		try.raises("function expected, got no value", reader)
		try.raises("function expected, got number", reader, 1)
		try.values({ true, "kept" }, reader(skynet.tostring))
	end)

	try.case("a value is read once, also when the function fails", function()
		local writer = stm.new "a"
		local reader = reader_of(writer)
		try.raises("boom", reader, function() error "boom" end)
		try.values({ false }, reader(skynet.tostring))
	end)

	-- skynet enters the sleeper before it fails to suspend it: the coroutine cannot sleep again
	try.ours("the function cannot be suspended", function()
		local reader = reader_of(stm.new "a")
		try.raises("attempt to yield across a C-call boundary", reader, function() skynet.sleep(1) end)
		try.values({ false }, reader(skynet.tostring))
	end)

	try.case("the function may write and read", function()
		local writer = stm.new "a"
		local reader = reader_of(writer)
		try.values({ true, true, "b", "a" }, reader(function(msg, sz)
			writer "b"
			return reader(function(inner, innersz)
				return skynet.tostring(inner, innersz), skynet.tostring(msg, sz)
			end)
		end))
	end)

	try.case("a reader without its writer has nothing, read or unread", function()
		local writer = stm.new "a"
		local unused, reader = stm.copy(writer), reader_of(writer)
		try.values({ true, "a" }, reader(skynet.tostring))
		writer "b"
		writer = nil
		collectgarbage()
		collectgarbage()
		try.values({ false }, reader(skynet.tostring))
		try.values({ false }, stm.newcopy(unused)(skynet.tostring))
	end)

	try.case("a service that ends takes its writer with it", function()
		local owner, reader = try.start "writer", try.start "reader"
		skynet.call(reader, "lua", "open", skynet.call(owner, "lua", "copy"))
		try.values({ true, "first" }, skynet.call(reader, "lua", "read"))
		skynet.call(owner, "lua", "write", "second")
		try.values({ true, "second" }, skynet.call(reader, "lua", "read"))
		skynet.call(owner, "lua", "write", "third")
		skynet.call(owner, "lua", "end")
		try.until_true(function() return not pcall(skynet.call, owner, "debug", "PING") end)
		skynet.sleep(1)
		try.values({ false }, skynet.call(reader, "lua", "read"))
		kill(reader)
	end)

	try.ours("a pointer is good while the function runs, and only for reading", function()
		local writer = stm.new(skynet.pack("x", 1))
		local reader = reader_of(writer)
		local kept, size
		try.values({ true, "x", 1 }, reader(function(msg, sz)
			kept, size = msg, sz
			try.raises("no longer the script's", skynet.trash, msg, sz)
			try.raises("no longer the script's", skynet.rawsend, skynet.self(), "lua", msg, sz)
			try.raises("no longer the script's", writer, msg, sz)
			return skynet.unpack(msg, sz + 1000)
		end))
		try.no(pcall(skynet.unpack, kept, size), "a pointer outlived its function")
		try.values({ false }, reader(skynet.unpack))
	end)

	try.ours("tickets are good once, and nothing else is one", function()
		local writer = stm.new(skynet.pack(7))
		local ticket = stm.copy(writer)
		local reader = stm.newcopy(ticket)
		try.raises("Invalid stm object", stm.newcopy, ticket)
		local other = try.start "reader"
		local ok, reason = skynet.call(other, "lua", "taken", ticket)
		try.equal(ok, false)
		try.contains(reason, "somebody has taken it already")
		-- a light userdata with a chosen address: type 3 of the packed format is 8 bytes behind one byte
		for _, address in ipairs { 0, 1, 1 << 63, (1 << 63) + 1, -1, ((1 << 63) | (1 << 24)) } do
			local forged = skynet.unpack(string.pack("<Bj", 3, address))
			try.equal(type(forged), "userdata")
			try.raises("Invalid stm object", stm.newcopy, forged)
		end
		try.raises("stm object expected, got nil", stm.newcopy, nil)
		try.raises("stm object expected, got string", stm.newcopy, "ticket")
		try.raises("stm object expected, got userdata", stm.newcopy, writer)
		try.raises("Need a stm writer", stm.copy, reader)
		try.raises("Need a stm writer", stm.copy, nil)
		try.raises("Need a stm writer", stm.copy, io.stdout)
		try.values({ true, 7 }, reader(skynet.unpack))
		kill(other)
	end)

	try.ours("a ticket that is lost keeps nothing", function()
		local census = require "census"
		census.steady(30, function()
			local writer = stm.new(("x"):rep(5000))
			for _ = 1, 100 do stm.copy(writer) end
			pcall(skynet.send, 0xfffffe, "lua", stm.copy(writer))
		end)
	end)

	try.ours("readers, writers and waits leave nothing", function()
		local census = require "census"
		local other = try.start "reader"
		census.steady(30, function(round)
			local writer = stm.new(skynet.pack(round))
			skynet.call(other, "lua", "open", stm.copy(writer))
			skynet.call(other, "lua", "read")
			try.no(skynet.call(other, "lua", "wait", 0))
			local waiting = try.later(skynet.call, other, "lua", "wait", 500)
			skynet.yield()
			writer(skynet.pack(round, round))
			try.values({ true, true }, waiting())
			local mine = reader_of(writer)
			pcall(mine, error)
			for i = 1, 20 do writer(skynet.pack(i)) end
			skynet.call(other, "lua", "leave")
		end)
		kill(other)
	end)

	try.ours("wait: what is there, what comes, what never comes", function()
		local writer = stm.new "a"
		local reader = reader_of(writer)
		try.equal(reader:wait(), true)
		reader(skynet.tostring)
		try.equal(reader:wait(1), false)
		local first, second = try.later(reader.wait, reader), try.later(reader.wait, reader, 500)
		skynet.yield()
		writer "b"
		try.values({ true, true }, first())
		try.values({ true, true }, second())
		try.values({ true, "b" }, reader(skynet.tostring))
		local third = try.later(reader.wait, reader)
		skynet.yield()
		writer = nil
		collectgarbage()
		collectgarbage()
		try.values({ true, false }, third())
		try.equal(reader:wait(), false)
	end)

	try.ours("wait: a coroutine that is killed is not missed", function()
		local writer = stm.new "a"
		local reader = reader_of(writer)
		reader(skynet.tostring)
		local mark = try.log()
		local co = skynet.fork(function() reader:wait() end)
		skynet.yield()
		skynet.killthread(co)
		writer "b"
		skynet.sleep(1)
		try.equal(mark.find "unknown", nil)
		try.equal(reader:wait(), true)
	end)

	try.case("sharemap: update gives what skynet's gives", function()
		local writer = sharemap.writer("player", { name = "ann", level = 1, items = { "a" } })
		local reader = sharemap.reader("player", writer:copy())
		try.equal(reader.items[1], "a")
		try.values({ false }, reader:update())
		writer.level, writer.name = 2, nil
		try.values({ n = 0 }, writer:commit())
		local items = reader.items
		local changed, data = reader:update()
		try.equal(changed, true)
		try.equal(data.level, 2)
		try.equal(reader.level, 2)
		try.equal(reader.name, nil, "a field that is gone")
		try.yes(items ~= reader.items, "nested values are made anew")
		writer.extra = 1	-- no field of the type: not published
		writer:commit()
		reader:update()
		try.equal(reader.extra, nil)
	end)

	try.case("sharemap: bad types, fields and values", function()
		try.raises("type not found", sharemap.writer, "nobody", {})
		try.raises("Can't open sproto file", sharemap.register, "/no/such/file")
		try.raises("player.level", sharemap.writer, "player", { level = "x" })
		local writer = sharemap.writer "player"
		try.equal(writer.name, nil)
		local reader = sharemap.reader("player", writer:copy())
		writer.level = 3
		writer:commit()
		writer.level = "x"
		try.raises("player.level", writer.commit, writer)
		reader:update()
		try.equal(reader.level, 3)
		try.no(pcall(function() reader.level = 4 end))
		try.equal(reader.level, 3)
		try.raises("type not found", sharemap.reader, "nobody", writer:copy())
	end)

	try.ours("sharemap: an error names the field that was written", function()
		local reader = sharemap.reader("player", sharemap.writer("player"):copy())
		try.raises_at("attempt to write field 'name' of a sharemap reader", function() reader.name = 1 end)
		try.raises("Invalid stm object", sharemap.reader, "player", skynet.unpack(string.pack("<Bj", 3, 99)))
	end)

	try.ours("sharemap: waiting, also for a record that has such a field", function()
		local writer = sharemap.writer("player", { name = "ann", level = 1 })
		local other = try.start "reader"
		try.values({ "ann", 1 }, skynet.call(other, "lua", "openmap", "player", writer:copy()))
		local waiting = try.later(skynet.call, other, "lua", "waitmap")
		skynet.yield()
		writer.level = 2
		writer:commit()
		try.values({ true, "ann", 2 }, waiting())
		kill(other)
		local odd = sharemap.writer("odd", { wait = 5 })
		local reader = sharemap.reader("odd", odd:copy())
		try.equal(reader.wait, 5)
		try.equal(sharemap.wait(reader, 0), false)
	end)

	-- One writer, many readers: each sees whole values in order, and old ones go.
	try.limit(6000)
	try.ours("a hundred thousand commits with many followers leave memory as it was", function()
		local memory = require "skynet.memory"
		local FOLLOWERS, COMMITS = 100, 100000
		local writer = stm.new(skynet.pack(0, ("\0"):rep(1000)))
		local followers = {}
		for i = 1, FOLLOWERS do
			followers[i] = try.start "follower"
			skynet.call(followers[i], "lua", "open", stm.copy(writer))
		end
		local before, most = memory.block(), 0
		for i = 1, COMMITS do
			writer(skynet.pack(i, string.char(i % 256):rep(1000)))
			if i % 500 == 0 then
				skynet.call(followers[i // 500 % FOLLOWERS + 1], "lua", "read")
				most = math.max(most, memory.block())
			end
		end
		for i = 1, FOLLOWERS do
			local last = skynet.call(followers[i], "lua", "read")
			try.equal(last, COMMITS, "follower " .. i)
		end
		-- at most one old value in each reader's hands, the newest, and messages under way
		try.yes(most <= before + FOLLOWERS + 50, ("%d blocks before, %d at most"):format(before, most))
		for i = 1, FOLLOWERS do kill(followers[i]) end
	end)
end)
