-- skynet.sharetable beyond c_sharetable: what of a source's table stays what it is: functions, light userdata, and one table in two
-- places; and what is refused.
local skynet = require "skynet"
local sharetable = require "skynet.sharetable"
local try = require "try"

local roles = {}
-- Runs code with a shared table.
function roles.reader()
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, name, code, ...)
			skynet.retpack(load(code)(sharetable.query(name), ...))
		end)
	end)
end
if try.role(roles, ...) then return end

try.main(function()
	local reader = try.start "reader"

	-- Loads a source, and runs code with its table here and in another service.
	local function both(name, source, code, ...)
		sharetable.loadstring(name, source, ...)
		local here = table.pack(load(code)(sharetable.query(name), ...))
		try.values(here, skynet.call(reader, "lua", name, code, ...))
		return table.unpack(here, 1, here.n)
	end

	try.case("C functions are the same everywhere", function()
		try.values({ 3, true, true }, both("natives", "return { floor = math.floor, type = type }",
			"local t = ... return t.floor(3.5), t.floor == math.floor, t.type == type"))
	end)

	try.case("Lua functions without upvalues", function()
		try.values({ 4, true, 0, 7, "const" }, both("functions", [[
			return {
				add = function(a) return a + 1 end,
				outer = function(a) return function() return a end end,
				inside = { [7] = function(...) return "const" end },
			}]],
			"local t = ... return t.add(3), t.add == t.add, debug.getinfo(t.add, 'u').nups, t.outer(7)(), t.inside[7]()"))
		try.matches(both("lines", "return { fail = function(a)\n return a.x.y\n end }",
			"local t = ... return select(2, pcall(t.fail, {}))"), ":2: .*field 'x'")
	end)

	try.case("one function in two places is one", function()
		try.values({ true, false }, both("onefunction", "local f = function() return 1 end return { a = f, b = { f }, c = function()\n return 1 end }",
			"local t = ... return t.a == t.b[1], t.a == t.c"))
	end)

	try.case("light userdata, as a value", function()
		local msg, sz = skynet.pack "one"
		try.values({ "userdata", true }, both("light", "return { l = ... }", "local t, l = ... return type(t.l), t.l == l", msg))
		sharetable.loadtable("light table", { l = msg, n = 1 })
		try.equal(sharetable.query "light table".l, msg)
		skynet.trash(msg, sz)
	end)

	try.case("one table in two places is one, and equal ones are two", function()
		local code = [[
			local t = ...
			local in_pairs = {}
			for k, v in pairs(t) do in_pairs[k] = v end
			return t.a == t.b, t.a == t.c, t.c == t.d, t.c == t.e, t.list[2] == t.a, in_pairs.b == t.a, t.a.x]]
		try.values({ true, false, false, true, true, true, "1" }, both("one", [[
			local function make(n) return { x = tostring(n), ("x"):rep(100) } end
			local a, c = make(1), make(1)
			return { a = a, b = a, c = c, d = make(1), e = c, list = { 1, a } }]], code))
		try.values({ true, false, false, true, true, true, "1" }, both("one large", [[
			local function make(n)
				local t = { x = tostring(n) }
				for i = 1, 500 do t[i] = ("x"):rep(100) end
				return t
			end
			local a, c = make(1), make(1)
			return { a = a, b = a, c = c, d = make(1), e = c, list = { 1, a } }]], code))
		collectgarbage()
		local t = sharetable.query "one"
		try.equal(t.b, t.a)
		try.equal(t.e, t.c)
	end)

	try.case("a table that is given is packed: it becomes two, and its metatable is not looked at", function()
		local x = { 1 }
		sharetable.loadtable("packed", setmetatable({ a = x, b = x }, { __name = "any" }))
		local t = sharetable.query "packed"
		try.equal(t.a == t.b, false)
		try.equal(t.b[1], 1)
		sharetable.loadtable("packed again", t)
		try.equal(sharetable.query "packed again".b[1], 1)
		try.raises("Unsupport type function to serialize", sharetable.loadtable, "bad", { f = print })
		x[2] = x
		try.raises("serialize can't pack too depth table", sharetable.loadtable, "bad", x)
	end)

	try.case("a shared table in a table that is given", function()
		sharetable.loadtable("inner", { n = 1, list = { 1, 2, { x = 3 } } })
		local inner = sharetable.query "inner"
		sharetable.loadtable("outer", { a = inner, deep = { inner.list, inner } })
		local t = sharetable.query "outer"
		try.values({ 1, 3, 2, 1 }, t.a.n, t.a.list[3].x, t.deep[1][2], t.deep[2].n)
		sharetable.loadtable("top", inner)
		try.equal(sharetable.query "top".list[2], 2)
		try.raises("Unsupport type function to serialize", sharetable.loadtable, "bad", { inner, print })
		local knot = { inner }
		knot[2] = knot
		try.raises("serialize can't pack too depth table", sharetable.loadtable, "bad", knot)
	end)

	try.case("a table with __pairs is what that gives", function()
		local t = setmetatable({ held = 1 }, { __pairs = function() return next, { n = 2 } end })
		sharetable.loadtable("pairs", { t, t })
		local found = sharetable.query "pairs"
		try.values({ 2, false }, found[1].n, found[2].held or false)
	end)

	try.ours("a shared table deep in tables that are in many places", function()
		sharetable.loadtable("leaf", { n = 1 })
		local t = { sharetable.query "leaf" }
		for _ = 1, 22 do t = { t, t } end
		sharetable.loadtable("tree", t)
		local found = sharetable.query "tree"
		for i = 1, 22 do found = found[1 + i % 2] end
		try.equal(found[1].n, 1)
	end)

	try.case("what cannot be shared", function()
		local function refused(source, why)
			local log = try.log()
			try.raises("call failed", sharetable.loadstring, "bad", source)
			log.wait(why)
			try.equal(sharetable.query "bad", nil)
		end
		refused("return { f = function() return print end }", "Invalid function with upvalue")
		refused("local x = 1 return { f = function() return x end }", "Invalid function with upvalue")
		refused("return { f = coroutine.wrap(print) }", "Invalid function with upvalue")
		refused("return { a = setmetatable({}, {}) }", "Can't share metatable")
		refused("return { io.stdout }", "Invalid type [userdata]")
		refused("return { co = coroutine.create(print) }", "Invalid type [thread]")
		refused("return print", "Not a table, it's a function.")
	end)

	-- skynet shares tables that are inside of themselves, and keys of all kinds.
	try.ours("what cannot be shared here", function()
		local function refused(source, why)
			local log = try.log()
			try.raises("call failed", sharetable.loadstring, "bad", source)
			log.wait(why)
		end
		refused("local t = {} t.a = { b = t } return t", "Can't share a table that is inside of itself")
		refused("local t = {} for _ = 1, 200 do t = { t } end return { t }", "serialize can't pack too depth table")
		refused("return { [1.5] = 1 }", "Invalid key 1.5")
		refused("return { [print] = 1 }", "Invalid key type function")
		refused("return { [{}] = 1 }", "Invalid key type table")
	end)

	try.ours("after an update", function()
		local function load(source) sharetable.loadstring("moved", source) end
		load "local x, f = { 1 }, function() return 1 end return { a = x, b = x, c = { x = x }, f = f, n = 0 }"
		local t = sharetable.query "moved"
		local a, c, f = t.a, t.c, t.f
		try.equal(t.b, a)
		try.equal(c.x, a)
		load "local x, f = { 2 }, function() return 2 end return { a = x, b = x, c = { x = x }, f = f, n = 1 }"
		try.equal(t.f(), 1)
		sharetable.update "moved"
		try.equal(t.f(), 2)
		try.equal(f(), 1)
		try.equal(a[1], 2)
		try.equal(t.b, t.a)
		try.equal(t.a, a)
		try.equal(c.x, a)
		load "return { a = { 3 }, b = { 4 }, c = { x = { 5 } }, n = 2 }"
		sharetable.update "moved"
		try.equal(a[1], 3)
		try.equal(t.a, a)
		try.equal(t.b[1], 4)
		try.equal(c.x[1], 5)
		try.equal(t.f, nil)
		load "local x = { 6 } return { b = x, c = { x = x, y = { x } } }"
		sharetable.update "moved"
		try.raises("doesn't exist after update", function() return a[1] end)
		try.equal(t.b, t.c.x)
		try.equal(t.c.y[1], t.b)
		-- Nothing is left of tables that nobody holds.
		for _ = 1, 3 do
			t, a, c, f = nil, nil, nil, nil
			collectgarbage()
		end
		t = sharetable.query "moved"
		try.equal(t.b, t.c.x)
	end)

	try.ours("as plain tables", function()
		sharetable.loadstring("plain", "local x = { 1 } return { a = x, b = { x }, c = { 1 }, f = function() return 5 end, g = print }")
		local t = sharetable.query("plain", "plain")
		try.equal(getmetatable(t), nil)
		try.equal(t.a, t.b[1])
		try.equal(t.a == t.c, false)
		try.equal(t.f(), 5)
		try.equal(t.g, print)
	end)

	try.case("what is shared gets no metatable", function()
		sharetable.loadstring("bare", "return { inner = { n = 1 } }")
		local t = sharetable.query "bare"
		try.raises("can't setmetatable to shared table", setmetatable, t, {})
		try.raises("can't setmetatable to shared table", setmetatable, t.inner, nil)
		try.equal(t.inner.n, 1)
		try.equal(getmetatable(setmetatable({}, { n = 2 })).n, 2)
	end)

	try.ours("no hook runs while a table is walked", function()
		local tables = require "fulmar.tables"
		local root = {}
		for i = 1, 200 do root[i] = { f = function() return 1 end, inner = { n = { i } } } end
		for _, event in ipairs { "c", "r", "cr" } do
			local seen
			debug.sethook(function()
				local info = debug.getinfo(2, "f")
				seen = seen or info and info.func ~= tables.build and info.func ~= debug.sethook and info.func
			end, event)
			local image = tables.build(root, "whole")
			debug.sethook()
			try.equal(seen or nil, nil)
			local copy = tables.copy(image)
			try.equal(copy[200].f(), 1)
			try.equal(copy[200].inner.n[1], 200)
		end
	end)

	try.ours("no file holds a function", function()
		local tables = require "fulmar.tables"
		local path = os.tmpname()
		local image = tables.build({ f = print }, "whole")
		try.raises("the image holds an object of the process, such as a function", tables.save, image, path)
		os.remove(path)
	end)
end)
