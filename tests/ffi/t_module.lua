-- A Lua C module found through lua_cpath: loads in many services, sees messages as flat memory, may wait.
local skynet = require "skynet"
require "skynet.manager"
local try = require "try"

local roles = {}

-- Keeps userdata of the module, answers with what the module sees of its requests.
function roles.server()
	local probe = require "probe"
	local kept = {}
	skynet.register_protocol {
		name = "flat",
		id = 150,
		unpack = function(msg, sz) return probe.sum(msg, sz), sz, probe.bytes(msg, math.min(sz, 32)) end,
		dispatch = function(_, _, ...) skynet.retpack(...) end,
	}
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, cmd, n)
			if cmd == "keep" then
				for i = 1, n do kept[i] = probe.token(i) end
				skynet.retpack(kept[n]:value())
			else
				skynet.retpack(probe.each(n, function(i)
					skynet.sleep(0)
					return i
				end))
			end
		end)
	end)
end
if try.role(roles, ...) then return end

local probe = require "probe"

local function fnv1a(text)
	local hash = 0xcbf29ce484222325
	for i = 1, #text do hash = (hash ~ text:byte(i)) * 0x100000001b3 end
	return hash
end

try.main(function()
	skynet.register_protocol { name = "flat", id = 150, pack = skynet.pack, unpack = skynet.unpack }

	-- values whose packed form is small, has one long string, has many, has them inside tables
	local long = ("a long string of no great meaning. "):rep(30000)
	local values = {
		{ 1, "two", { 3 } },
		{ long },
		{ "before", long, "after", { long, x = long:sub(1, 70000) } },
		{},
		{ long, long, long },
	}

	try.case("it runs in the Lua it was built for", function()
		local built, running = probe.number()
		try.equal(built, 505)
		try.equal(math.tointeger(running), 505)
		try.matches(package.cpath, "luaclib/%?%.so")
	end)

	try.case("what skynet.pack gives is flat memory", function()
		for _, v in ipairs(values) do
			local text = skynet.packstring(table.unpack(v))
			local msg, sz = skynet.pack(table.unpack(v))
			try.equal(sz, #text)
			if sz > 0 then
				try.equal(probe.bytes(msg, sz) == text, true, "the bytes of a message of " .. sz)
				try.equal(skynet.tostring(msg, sz) == text, true)
				skynet.trash(msg, sz)
			end
		end
	end)

	try.case("what a handler gets is flat memory", function()
		local s = try.start "server"
		for _, v in ipairs(values) do
			local text = skynet.packstring(table.unpack(v))
			local got, sz, first = skynet.call(s, "flat", table.unpack(v))
			try.equal(sz, #text)
			try.equal(got, fnv1a(text))
			try.equal(first, text:sub(1, 32))
		end
	end)

	try.case("what rawcall gives is flat memory", function()
		local function echo_of(v)
			local msg, sz = skynet.rawcall(skynet.self(), "lua", skynet.pack(table.unpack(v)))
			return probe.bytes(msg, sz)
		end
		skynet.dispatch("lua", function(_, _, ...) skynet.retpack(...) end)
		for _, v in ipairs(values) do
			try.equal(echo_of(v) == skynet.packstring(table.unpack(v)), true)
		end
	end)

	try.case("strings that came in messages are strings for C", function()
		skynet.dispatch("lua", function(_, _, ...) skynet.retpack(...) end)
		local back = skynet.call(skynet.self(), "lua", long)
		try.equal(back == long, true)
		try.raises("a long string", probe.fail, back:sub(1, 20))
		local _, err = pcall(probe.fail, back)
		try.equal(err == long or err:sub(-#long) == long, true)
	end)

	try.case("userdata lives in its service and is released with it", function()
		local services = {}
		local made, released = probe.counts()
		for i = 1, 4 do
			services[i] = try.start "server"
			try.equal(skynet.call(services[i], "lua", "keep", 100), 100)
		end
		local now = probe.counts()
		try.equal(now, made + 400)
		for i = 1, 2 do skynet.kill(services[i]) end
		for i = 3, 4 do skynet.send(services[i], "debug", "EXIT") end
		try.until_true(function()
			local _, n = probe.counts()
			return n == released + 400
		end, "every finalizer ran")
	end)

	try.case("C that calls Lua that waits", function()
		local s = try.start "server"
		local results = {}
		for i = 1, 5 do results[i] = try.later(skynet.call, s, "lua", "each", i * 10) end
		for i = 1, 5 do
			local n = i * 10
			try.values({ true, n * (n + 1) // 2 }, results[i]())
		end
		try.equal(probe.each(3, function(i)
			skynet.sleep(1)
			return i
		end), 6)
	end)

	try.case("C that yields, in coroutines of the program", function()
		local co = coroutine.wrap(function(...) return "end", probe.wait(...) end)
		try.values({ 1, 2 }, co(1, 2))
		local word, value = co "back"
		try.equal(word, "end")
		try.equal(value, "back")
	end)

	try.case("errors of C have the place of their caller", function()
		try.matches(try.raises_at("from C", function() probe.fail "from C" end), "t_module%.lua:%d+: from C$")
		try.raises("number expected", probe.token, {})
		try.raises("probe.token expected", probe.token(1).value, io.stdout)
	end)

	try.case("a C module that is not there", function()
		try.raises("luaclib/no_such_module.so", require, "no_such_module")
	end)
end)
