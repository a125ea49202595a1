-- Metatables that a program gives to what it shares with skynet: protocols that inherit through functions, and the module itself.
local skynet = require "skynet"
local try = require "try"

-- A class hierarchy whose lookups are functions.
local base = { pack = skynet.pack, unpack = skynet.unpack }
local function class(fields, parent)
	return setmetatable(fields, { __index = function(_, name) return parent[name] end })
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

	try.case("names of skynet behind a metatable of the program's", function()
		local late = try.start "late"
		try.values({ 10, "function", "function", 5, "mine", nil, "of_the_program nothing", n = 7 }, skynet.call(late, "lua"))
	end)

	try.case("setmetatable as Lua has it", function()
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
