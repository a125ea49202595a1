-- Metatables that a program gives to what it shares with skynet: protocols that inherit through functions, and the module itself.
local skynet = require "skynet"
local try = require "try"

-- A class hierarchy whose lookups are functions.
local base = { pack = skynet.pack, unpack = skynet.unpack }
local function class(fields, parent)
	return setmetatable(fields, { __index = function(_, name) return parent[name] end })
end

-- A class that raises for the names that it does not know.
local function strict(fields)
	return setmetatable(fields, { __index = function(_, name) error("no field " .. name) end })
end

local roles = {}
function roles.answers()
	local middle = class({ id = 77 }, base)
	skynet.register_protocol(class({
		name = "inherited",
		dispatch = function(_, _, ...) skynet.ret(skynet.pack("got", ...)) end,
	}, middle))
	skynet.start(function() end)
end

function roles.listens()
	local got = {}
	local function keep(_, _, ...) table.insert(got, table.concat({ ... }, " ")) end
	skynet.register_protocol { name = "strict", id = 78, unpack = skynet.unpack, dispatch = keep }
	skynet.register_protocol { name = "waits", id = 80, unpack = skynet.unpack, dispatch = keep }
	skynet.start(function()
		skynet.dispatch("lua", function() skynet.retpack(table.unpack(got)) end)
	end)
end

-- The way to add to a metatable that may be there.
function roles.adds()
	local mt = getmetatable(skynet) or {}
	mt.__index = function(_, name) return name == "of_the_program" and 5 or nil end
	setmetatable(skynet, mt)
	skynet.start(function()
		skynet.dispatch("lua", function()
			skynet.retpack(skynet.PTYPE_LUA, type(skynet.request), skynet.of_the_program, skynet.nothing, getmetatable(skynet) == mt)
		end)
	end)
end

-- Late names of `skynet` behind a metatable of the program's.
function roles.late()
	local asked = {}
	skynet.info = "mine"
	setmetatable(skynet, {
		__index = function(_, name)
			asked[#asked + 1] = name
			return name == "of_the_program" and 5 or nil
		end,
	})
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, ...)
			skynet.retpack(skynet.PTYPE_LUA, type(skynet.request), type(skynet.uniqueservice), skynet.of_the_program, skynet.info,
				skynet.nothing, table.concat(asked, " "))
		end)
	end)
end
if try.role(roles, ...) then return end

try.main(function()
	try.case("a protocol inherited through functions", function()
		local answers = try.start "answers"
		skynet.register_protocol(class({ name = "inherited", id = 77 }, base))
		try.values({ "got", 1, "two" }, skynet.call(answers, "inherited", 1, "two"))
		try.values({ "got" }, skynet.call(answers, 77))
	end)

	try.case("a protocol that raises for unknown names", function()
		local listens = try.start "listens"
		skynet.register_protocol(strict { name = "strict", id = 78, pack = skynet.pack })
		skynet.send(listens, "strict", 1, "two")
		skynet.send(listens, 78, 3)
		try.values({ "1 two", "3" }, skynet.call(listens, "lua"))
		try.raises("no field id", skynet.register_protocol, strict { name = "no_id" })
		skynet.register_protocol { name = "no_id", id = 79 }
	end)

	try.case("a protocol whose lookup waits", function()
		local listens, before = try.start "listens", skynet.now()
		skynet.register_protocol(setmetatable({ name = "waits", id = 80, pack = skynet.pack }, {
			__index = function() skynet.sleep(1) end,
		}))
		skynet.sleep(20)
		try.yes(skynet.now() - before > 10, "slept")
		skynet.send(listens, "waits", 1, "two")
		try.values({ "1 two" }, skynet.call(listens, "lua"))
	end)

	try.case("a metatable of skynet's that is there or not", function()
		try.values({ 10, "function", 5, nil, true, n = 5 }, skynet.call(try.start "adds", "lua"))
	end)

	try.case("names of skynet behind a metatable of the program's", function()
		local late = try.start "late"
		try.values({ 10, "function", "function", 5, "mine", nil, "of_the_program nothing", n = 7 }, skynet.call(late, "lua"))
	end)

	try.case("getmetatable and setmetatable as Lua has them", function()
		try.equal(getmetatable(skynet), nil)
		try.equal(getmetatable("").__index, string)
		try.equal(getmetatable(1), nil)
		try.equal(getmetatable(setmetatable({}, { __metatable = false })), false)
		try.raises("bad argument #1 to 'getmetatable' (value expected)", function() getmetatable() end)
		local t, mt = {}, { __index = { x = 1 } }
		try.equal(setmetatable(t, mt), t)
		try.equal(t.x, 1)
		try.equal(getmetatable(setmetatable(t, nil)), nil)
		try.raises("bad argument #1 to 'setmetatable' (table expected, got number)", function() setmetatable(1, {}) end)
		try.raises("bad argument #2 to 'setmetatable' (nil or table expected, got no value)", function() setmetatable {} end)
		try.raises("cannot change a protected metatable", function()
			setmetatable(setmetatable({}, { __metatable = 1 }), nil)
		end)
		local closed
		do local _ <close> = setmetatable({}, { __close = function() closed = true end }) end
		try.equal(closed, true)
	end)
end)
