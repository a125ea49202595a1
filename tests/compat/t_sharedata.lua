-- sharedata, sharetable, datasheet: bad input, updates under readers, batches, patches.
local skynet = require "skynet"
local sharedata = require "skynet.sharedata"
local corelib = require "skynet.sharedata.corelib"
local sharetable = require "skynet.sharetable"
local builder = require "skynet.datasheet.builder"
local datasheet = require "skynet.datasheet"
local dump = require "skynet.datasheet.dump"
require "skynet.manager"
local try = require "try"

local roles = {}

-- Answers whether the two tables of a batch were ever seen apart.
function roles.batch()
	local apart = 0
	skynet.start(function()
		local a, b = sharedata.query "batch_a", sharedata.query "batch_b"
		skynet.fork(function()
			while true do
				if a.n ~= b.n then apart = apart + 1 end
				skynet.yield()
			end
		end)
		skynet.dispatch("lua", function() skynet.retpack(a.n, apart) end)
	end)
end

-- Builds a table and ends before it is published.
function roles.dying()
	skynet.start(function()
		local tables = require "fulmar.tables"
		local image = tables.build { n = 1 }
		local token = tables.token(image)
		skynet.dispatch("lua", function()
			skynet.retpack(token)
			skynet.exit()
		end)
	end)
end

-- Reads a row whenever it is asked, without a garbage collector, and answers what its heap has grown to.
function roles.frugal()
	skynet.start(function()
		local t = sharedata.query "frugal"
		collectgarbage()
		collectgarbage "stop"
		skynet.dispatch("lua", function()
			local n, text = t.row.n, t.row.text
			assert(#text == 80)
			skynet.retpack(n, collectgarbage "count" * 1024)
		end)
	end)
end
if try.role(roles, ...) then return end

local equal, yes, raises = try.equal, try.yes, try.raises
local soon = try.until_true

try.main(function()
	try.ours("what cannot be shared is refused where it is given", function()
		local circle = {}
		circle.circle = circle
		raises("Unsupport type function to serialize", sharedata.new, "bad", { f = print })
		raises("serialize can't pack too depth table", sharedata.new, "bad", circle)
		local deep = {}
		for _ = 1, 200 do deep = { deep } end
		raises("serialize can't pack too depth table", sharedata.new, "bad", deep)
		raises("", sharedata.new, "bad", { [1.5] = 1 })
		raises("", sharedata.new, "bad", { [true] = 1 })
		raises("", sharedata.new, "bad", { [print] = 1 })
		raises("", sharedata.new, "bad", { co = coroutine.create(print) })
		raises("", sharedata.query, "bad")
	end)

	try.case("a shared table in a table that is given", function()
		sharedata.new("inner", { n = 1, list = { 1, { x = 3 } } })
		local inner = sharedata.query "inner"
		sharedata.new("outer", { a = inner, b = { inner.list } })
		local t = sharedata.query "outer"
		try.values({ 1, 3, 1 }, t.a.n, t.a.list[2].x, t.b[1][1])
	end)

	-- A table that holds one thing, and shows another to `pairs`.
	local function shows(t)
		return setmetatable({ held = 1 }, { __pairs = function() return next, t end })
	end

	try.case("a table with __pairs is what that gives", function()
		sharedata.new("pairs", shows { n = 2, deep = { shows { x = 3 } } })
		local t = sharedata.query "pairs"
		try.values({ false, 2, 3, false }, t.held or false, t.n, t.deep[1].x, t.deep[1].held or false)
		sharedata.update("pairs", shows { n = 4 })
		try.until_true(function() return t.n == 4 end)
		sharedata.new("others", setmetatable({ n = 5 }, { __index = { m = 6 } }))
		try.values({ 5, false }, sharedata.query "others".n, sharedata.query "others".m or false)
		sharedata.new("source", "return setmetatable({ n = 6 }, { __pairs = function(t) return next, { m = 7 } end })")
		try.values({ 6, false }, sharedata.query "source".n, sharedata.query "source".m or false)
	end)

	try.ours("patches take what is shared, and tables with __pairs", function()
		sharedata.new("mended", { n = 1 })
		sharedata.patch("mended", "inner", sharedata.query "inner")
		sharedata.patch("mended", { "inner", "m" }, shows { x = 7 })
		try.values({ 1, 3, 7 }, sharedata.deepcopy("mended", "n"), sharedata.deepcopy("mended", "inner").list[2].x,
			sharedata.deepcopy("mended", "inner", "m").x)
		raises("Unsupport type function to serialize", sharedata.patch, "mended", "n", { shows { print } })
		local endless = {}
		endless.__pairs = function() return next, { setmetatable({}, endless) } end
		raises("serialize can't pack too depth table", sharedata.patch, "mended", "n", setmetatable({}, endless))
		raises("no table nowhere", sharedata.patch, "nowhere", "n", {})
		raises("Invalid key type nil", sharedata.patch, "mended", { "inner", nil, "m" }, 5)
		raises("bad path", sharedata.patch, "mended", { "inner", m = 1 }, 5)
		sharedata.patch("mended", { "inner", "list", 1.0 }, 8)
		try.values({ 7, 8 }, sharedata.deepcopy("mended", "inner", "m").x, sharedata.deepcopy("mended", "inner", "list")[1])
		raises("Invalid key 1.5", sharedata.patch, "mended", { 1.5 }, 5)
		raises("function expected, got nil", sharedata.listen, "mended", nil)
	end)

	try.case("sources with errors", function()
		raises("call failed", sharedata.new, "bad", "return {")
		raises("call failed", sharedata.new, "bad", "error 'no'")
		raises("call failed", sharedata.new, "bad", "@/no/such/file.lua")
		raises("call failed", sharedata.new, "bad", "return { f = print }")
		raises("call failed", sharetable.loadstring, "bad", "return 1")
		raises("call failed", sharetable.loadstring, "bad", "return setmetatable({}, {})")
		raises("call failed", sharetable.loadfile, "/no/such/file.lua")
		raises("call failed", sharedata.query, "bad")
		try.equal(sharetable.query "bad", nil)
	end)

	try.case("sources that are nothing but data, and such that are not", function()
		local data = "return { 1, -2.5, 'it\\'s', nil, true, %s [\"k l\"] = 0x10, deep = { { x = {} } } } -- done"
		for i, more in ipairs { "", "x = 1 + 1,", "x = math.pi > 3 and 2," } do
			local name = "literal" .. i
			sharetable.loadstring(name, data:format(more))
			local t = sharetable.query(name)
			try.equal(t[2], -2.5)
			try.equal(t[3], "it's")
			try.equal(t[5], true)
			try.equal(t["k l"], 16)
			try.equal(t.x, more ~= "" and 2 or nil)
			try.equal(t.deep[1].x.y, nil)
			sharedata.new(name, data:format(more))
			try.equal(sharedata.query(name)[5], true)
		end
		local path = os.tmpname()
		local f = assert(io.open(path, "w"))
		f:write "return { n = 5 }"
		f:close()
		sharetable.loadfile(path)
		try.equal(sharetable.query(path).n, 5)
		os.remove(path)
		raises("call failed", sharetable.loadfile, path)
	end)

	try.case("globals of a source are the data when it returns none", function()
		sharedata.new("globals", "a, b = ..., { 1, 2 }", 7)
		local t = sharedata.query "globals"
		try.equal(t.a, 7)
		try.equal(#t.b, 2)
		try.equal(t.print, nil)
		sharedata.new "empty"
		try.equal(next(sharedata.deepcopy "empty"), nil)
	end)

	try.case("a name that is gone", function()
		sharedata.new("gone", { n = 1, part = { m = 2 } })
		local t = sharedata.query "gone"
		local part = t.part
		sharedata.delete "gone"
		skynet.sleep(1)
		try.equal(t.n, 1)
		try.equal(part.m, 2)
		raises("call failed", sharedata.query, "gone")
		raises("call failed", sharedata.deepcopy, "gone")
		raises("call failed", sharedata.delete, "gone")
		sharedata.new("gone", { n = 3 })
		try.equal(sharedata.query "gone".n, 3)
	end)

	try.case("writing raises, and says where", function()
		sharedata.new("written", { a = { b = { 1 } }, n = 1 })
		local t = sharedata.query "written"
		local b = t.a.b
		for _ = 1, 3 do	-- cold, read once, warm
			raises("Error newindex, the key []", function() t.n = 2 end)
			raises("Error newindex, the key [.a.b]", function() b[1] = 2 end)
			raises("Error newindex, the key [.a.b]", function() b.new = 2 end)
			try.equal(t.n + b[1], 2)
		end
		raises("Invalid key 1.5", function() return t[1.5] end)
		try.equal(t[1.0], nil)
		try.equal(b[1.0], 1)
		try.equal(t[print], nil)
	end)

	try.ours("parts are the same tables when they are read again, and follow updates", function()
		sharedata.new("follow", { a = { b = { c = 1 } }, list = { 1, 2, 3 } })
		local t = sharedata.query "follow"
		local a, b = t.a, t.a.b
		try.equal(a, t.a)
		try.equal(b, t.a.b)
		try.equal(b.c + b.c + b.c, 3)
		sharedata.update("follow", { a = { b = { c = 2 } }, list = { 1 } })
		soon(function() return b.c == 2 end)
		try.equal(a, t.a)
		try.equal(b, a.b)
		try.equal(#t.list, 1)
		sharedata.update("follow", { a = 5 })
		soon(function() return t.a == 5 end)
		raises("The key [.a.b] doesn't exist after update", function() return b.c end)
		raises("The key [.a] doesn't exist after update", function() return a.b end)
		sharedata.update("follow", { a = { b = { c = 4 } } })
		soon(function()
			local ok, c = pcall(function() return b.c end)
			return ok and c == 4
		end)
	end)

	try.ours("following a hundred updates leaves no garbage", function()
		sharedata.new("frugal", { row = { n = 0, text = ("x"):rep(80), list = { 1, 2 } } })
		local reader <const> = skynet.newservice(SERVICE_NAME, "frugal")
		local first
		for n = 1, 110 do
			sharedata.patch("frugal", { "row", "n" }, n)
			local bytes
			soon(function()
				local seen
				seen, bytes = skynet.call(reader, "lua")
				return seen == n
			end)
			if n == 10 then first = bytes end
			if n == 110 then equal(bytes, first) end
		end
		skynet.kill(reader)
	end)

	try.ours("what has been read follows a change of any kind", function()
		local values <const> = { 1, 2, 2.0, "text", ("long"):rep(20), true, false, { 1 }, { a = 1 } }
		local wide = {}
		for i = 1, 100 do wide["k" .. i] = i end
		sharedata.new("kinds", { small = { kept = { 7 } }, wide = wide })
		local t <const> = sharedata.query "kinds"
		local kept <const> = t.small.kept
		math.randomseed(7)
		for _ = 1, 300 do
			local value = values[math.random(#values + 1)]	-- or nil
			for _, part in ipairs { "small", "wide" } do
				sharedata.patch("kinds", { part, "k1" }, value)
				sharedata.flush()
				for _ = 1, 3 do
					local seen = t[part].k1
					if type(value) == "table" then
						yes(seen[1] == value[1] and seen.a == value.a and seen == t[part].k1)
					else
						equal(seen, value)
					end
				end
				equal(t.wide.k2, 2)
			end
			yes(t.small.kept == kept and kept[1] == 7)
		end
		sharedata.delete "kinds"
	end)

	try.ours("what is behind a part cannot be turned against the process", function()
		sharedata.new("behind", { a = { b = { c = 1 } }, n = 1 })
		local t = sharedata.query "behind"
		local b = t.a.b
		local fields = {}
		for k, v in next, b do fields[k] = v end
		-- Parts that are their own parents, have other numbers, or parents that are none.
		for k, v in pairs(fields) do
			for _, other in ipairs { b, t, {}, 0, -1, 1 << 62, math.mininteger, "text", false } do
				rawset(b, k, other)
				sharedata.patch("behind", "n", t.n + 1)
				sharedata.flush()
				pcall(function() return b.c, #b, b.x.y end)
				pcall(function() b.c = 1 end)
				pcall(function() for _ in pairs(b) do end end)
			end
			rawset(b, k, v)
		end
		sharedata.flush()
		try.equal(b.c, 1)
		-- Methods in the hands of a program: cold, then warm.
		for _ = 1, 3 do
			local meta = getmetatable(b)
			for _, name in ipairs { "__index", "__newindex", "__len", "__pairs" } do
				local method = meta[name]
				local call = type(method) == "function" and method or getmetatable(method).__index
				for _, one in ipairs { b, {}, 1, "text", print } do
					pcall(call, one, "c")
					pcall(call, one)
				end
				pcall(call)
			end
			try.equal(b.c, 1)
		end
		-- Upvalues and user values of other kinds.
		local index = getmetatable(sharedata.query "behind".a).__index
		index = type(index) == "function" and index or getmetatable(index).__index
		local _, reader = debug.getupvalue(index, 1)
		for n = 1, 3 do
			local kept = debug.getuservalue(reader, n)
			debug.setuservalue(reader, 7, n)
			pcall(function() return b.c, t.a.b.c, #t end)
			pcall(sharedata.patch, "behind", "n", n)
			pcall(sharedata.flush)
			debug.setuservalue(reader, kept, n)
		end
		debug.setupvalue(index, 1, io.stdout)
		pcall(index, b, "c")
		debug.setupvalue(index, 1, reader)
		sharedata.flush()
		try.equal(b.c, 1)
	end)

	try.case("walking: wide tables, holes in the middle of updates", function()
		local wide = { "first", "second" }
		for i = 1, 2000 do wide["k" .. i] = { i } end
		sharedata.new("wide", wide)
		local t = sharedata.query "wide"
		local n, sum = 0, 0
		for k, v in pairs(t) do
			n = n + 1
			if type(v) == "table" then
				sum = sum + v[1]
				try.equal(v, t[k])
			end
		end
		try.equal(n, 2002)
		try.equal(sum, 2001000)
		collectgarbage()
		try.equal(t.k77[1], 77)
		local copy = skynet.unpack(skynet.packstring(t))
		try.equal(copy.k2000[1], 2000)
		try.equal(#copy, 2)
	end)

	try.ours("patch changes one place for everybody", function()
		sharedata.new("patched", { item = { price = 1, tags = { "a", "b" } }, other = { 1 } })
		local t = sharedata.query "patched"
		local tags = t.item.tags
		local told
		sharedata.listen("patched", function(keys) told = keys end)
		sharedata.patch("patched", { "item", "price" }, 2.5)
		soon(function() return t.item.price == 2.5 end)
		soon(function() return told end)
		try.equal(table.concat(told, ","), "item")
		sharedata.patch("patched", { "item", "tags", 3 }, "c")
		soon(function() return #tags == 3 end)
		sharedata.patch("patched", "new", { deep = { 1 } })
		soon(function() return t.new and t.new.deep[1] == 1 end)
		sharedata.patch("patched", "other", nil)
		soon(function() return t.other == nil end)
		raises("there is no table under the key nothing", sharedata.patch, "patched", { "nothing", "here" }, 1)
		raises("no table nothing", sharedata.patch, "nothing", "here", 1)
		raises("a path has at least one key", sharedata.patch, "patched", {}, 1)
		raises("", sharedata.patch, "patched", "f", print)
		raises("Invalid key 1.5", sharedata.patch, "patched", 1.5, 1)
	end)

	try.ours("wait tells the changed keys", function()
		sharedata.new("waited", { a = 1, b = { 1 }, c = { 2 } })
		local waiting = try.later(sharedata.wait, "waited")
		skynet.sleep(1)
		sharedata.update("waited", { a = 1, b = { 2 }, d = 4 })
		local ok, keys = waiting()
		try.equal(ok, true)
		table.sort(keys)
		try.equal(table.concat(keys, ","), "b,c,d")
		raises("", sharedata.wait, "never made")
	end)

	try.ours("a batch is never seen in part", function()
		sharedata.batch { batch_a = { n = 0 }, batch_b = { n = 0 } }
		local reader = skynet.newservice(SERVICE_NAME, "batch")
		for n = 1, 50 do
			sharedata.batch { batch_a = { n = n }, batch_b = { n = n } }
		end
		local seen, apart
		soon(function()
			seen, apart = skynet.call(reader, "lua")
			return seen == 50
		end)
		try.equal(apart, 0)
		sharedata.batch { batch_a = false }
		raises("call failed", sharedata.query, "batch_a")
	end)

	try.ours("a writer that ends between build and publish leaves nothing", function()
		local token = skynet.call(skynet.newservice(SERVICE_NAME, "dying"), "lua")
		local tables = require "fulmar.tables"
		soon(function() return not pcall(tables.claim, token) end)
		raises("", tables.claim, nil)
		raises("", tables.claim, 7)
		local image = tables.build { 1 }
		local again = tables.token(image)
		tables.claim(again)
		raises("", tables.claim, again)
		raises("", tables.box, {})
		raises("", tables.update, {}, image)
		raises("", tables.publish, "name", 5)
	end)

	try.ours("plain tables on request", function()
		sharedata.new("plain", { a = { 1 } })
		local t = sharedata.query("plain", "plain")
		t.a[1] = 2
		try.equal(t.a[1], 2)
		try.equal(getmetatable(t), nil)
		try.equal(sharedata.query "plain".a[1], 1)
		sharetable.loadtable("plain", { a = { 1 } })
		local own = sharetable.query("plain", "plain")
		own.a[1] = 2
		try.equal(rawlen(own.a), 1)
		try.equal(sharetable.query "plain".a[1], 1)
		try.equal(sharetable.query("no such", "plain"), nil)
	end)

	try.ours("images in files", function()
		local tables = require "fulmar.tables"
		local path = os.tmpname()
		tables.save(tables.build { list = { 1, 2 }, name = ("x"):rep(5000) }, path)
		local image = tables.load(path)
		try.equal(tables.copy(image, "list", 2), 2)
		try.equal(#tables.box(image).name, 5000)
		local f = assert(io.open(path, "r+b"))
		f:seek("set", 60)
		f:write "damage"
		f:close()
		raises("", function() return tables.copy(tables.load(path)) end)
		os.remove(path)
		raises("", tables.load, path)
	end)

	try.ours("corelib counts, and updates what is dirty only", function()
		local host = corelib.host
		local a, b = host.new { n = 1 }, host.new { n = 2 }
		local box = corelib.box(a)
		try.equal(box.n, 1)
		raises("Only dirty object can be update", corelib.update, box, b)
		host.markdirty(a)
		corelib.update(box, b)
		try.equal(box.n, 2)
		try.equal(corelib.copy(b).n, 2)
	end)

	try.ours("sharetable: shared as they are, next and all", function()
		sharetable.loadtable("st", { 10, 20, sub = { x = 1 } })
		local t = sharetable.query "st"
		try.equal(t, sharetable.query "st")
		local keys = {}
		for k in next, t do keys[#keys + 1] = tostring(k) end
		table.sort(keys)
		try.equal(table.concat(keys, ","), "1,2,sub")
		try.equal(select("#", table.unpack(t)), 2)
		try.equal(table.concat(t, ","), "10,20")
		raises("", function() t.sub = 1 end)
		raises("", function() t.sub.y = 1 end)
		raises("", sharetable.loadtable, "bad", { f = function() end })
		sharetable.loadtable("st2", { 1 })
		local all = sharetable.queryall { "st", "st2", "none" }
		try.equal(all.st, t)
		try.equal(all.st2[1], 1)
		try.equal(all.none, nil)
		try.equal(sharetable.queryall().st, t)
		sharetable.loadtable("st", { 30 })
		try.equal(t[1], 10)
		try.equal(sharetable.query "st"[1], 30)
		sharetable.update "st"
		try.equal(t[1], 30)
	end)

	try.ours("datasheet: documents, their limits, and tables that stay", function()
		builder.new("sheet", { n = 1 << 40, s = "a\0b", list = { { v = 1 }, { v = 2 } } })
		local t = datasheet.query "sheet"
		try.equal(math.type(t.n), "float")
		try.equal(t.s, "a")
		local second = t.list[2]
		builder.update("sheet", { list = { { v = 3 }, { v = 4 } } })
		soon(function() return second.v == 4 end)
		try.equal(t.list[2], second)
		raises("assertion failed!", builder.new, "sheet", {})
		raises("assertion failed!", builder.update, "no sheet", {})
		raises("Unsupport value", builder.new, "bad", { f = print })
		raises("Unsupport value", builder.compile, { [1.5] = 1 })
		raises("", builder.new, "bad", "no document")
		raises("", datasheet.query, "bad")
		builder.new("bad", {})
		raises("", datasheet.query, "bad")	-- remembered
	end)

	try.ours("datasheet.dump: there and back, and numbers that stay", function()
		local old = dump.dump { a = { 1 }, b = { 2 }, n = -5, f = 0.5, yes = true }
		local t, numbers = dump.undump(old)
		try.equal(t.n, -5)
		try.equal(t.f, 0.5)
		try.equal(t.yes, true)
		local new = dump.diff(old, dump.dump { aa = { 9 }, b = { 3 } })
		local u, renumbered = dump.undump(new)
		try.equal(renumbered[u.b], numbers[t.b])
		try.equal(u.b[1], 3)
		try.equal(u.aa[1], 9)
		for cut = 0, #old - 1, 3 do
			pcall(dump.undump, old:sub(1, cut))
		end
		for i = 1, #old do
			pcall(dump.undump, old:sub(1, i - 1) .. string.char(old:byte(i) ~ 0xff) .. old:sub(i + 1))
		end
	end)

	try.ours("updates are followed when the service of the tables has ended", function()
		sharedata.new("orphan", { n = 1 })
		builder.new("orphan sheet", { v = 1 })
		local t = sharedata.query "orphan"
		try.equal(t.n, 1)
		skynet.kill(skynet.uniqueservice "sharedatad")
		for n = 2, 4 do
			sharedata.patch("orphan", "n", n)
			soon(function() return t.n == n end)
		end
		local s = datasheet.query "orphan sheet"
		try.equal(s.v, 1)
		skynet.kill(require "skynet.service".query "datasheet")
		local tables = require "fulmar.tables"
		tables.publish("datasheet/orphan sheet", tables.build { v = 2 })
		soon(function() return s.v == 2 end)
		tables.publish("datasheet/orphan sheet", nil)
		skynet.sleep(2)
		try.equal(s.v, 2)
	end)
end)
