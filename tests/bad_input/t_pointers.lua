-- Light userdata that is no message: forged, stale, foreign, interior, with a wrong size; at every native that takes
-- (msg, sz). Each use raises an error or is refused, and changes nothing.
local skynet = require "skynet"
local core = require "skynet.core"
require "skynet.manager"
local census = require "census"
local try = require "try"

-- light userdata from a number
local function pointer(address)
	return (skynet.unpack("\3" .. string.pack("<I8", address)))
end

-- the address of a light userdata
local function address(ptr)
	return (string.unpack("<I8", skynet.packstring(ptr), 2))
end

local roles = {}

-- Answers with the address of a message of its own, keeps the message.
function roles.owner()
	local kept = {}
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, cmd)
			if cmd == "pack" then
				local msg, sz = skynet.pack("a message of somebody else", ("x"):rep(100))
				kept[#kept + 1] = { msg, sz }
				skynet.retpack(msg, sz)
			elseif cmd == "drop" then
				for _, m in ipairs(kept) do skynet.trash(m[1], m[2]) end
				kept = {}
				skynet.retpack()
			else
				local m = kept[#kept]
				skynet.retpack(skynet.unpack(m[1], m[2]))
			end
		end)
	end)
end

function roles.echo()
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, ...) skynet.retpack(...) end)
	end)
end

-- Answers a request with a pointer that is none.
function roles.liar()
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, ptr, sz) skynet.ret(ptr, sz) end)
	end)
end

if try.role(roles, ...) then return end

try.main(function()
	local echo = try.start "echo"
	local owner = try.start "owner"

	-- every native that takes (msg, sz); each must raise
	local natives = {
		["core.send"] = function(p, n) core.send(echo, 10, 0, p, n) end,
		["core.send with a session"] = function(p, n) core.send(echo, 10, nil, p, n) end,
		["core.redirect"] = function(p, n) core.redirect(echo, skynet.self(), 10, 0, p, n) end,
		["core.unpack"] = function(p, n) core.unpack(p, n) end,
		["core.tostring"] = function(p, n) core.tostring(p, n) end,
		["core.trash"] = function(p, n) core.trash(p, n) end,
		["skynet.rawsend"] = function(p, n) skynet.rawsend(echo, "lua", p, n) end,
		["skynet.rawcall"] = function(p, n) skynet.rawcall(echo, "lua", p, n) end,
		["skynet.redirect"] = function(p, n) skynet.redirect(echo, skynet.self(), "lua", 0, p, n) end,
		["skynet.rawsend by name"] = function(p, n) skynet.rawsend(".launcher", "lua", p, n) end,
		["skynet.rawsend by address"] = function(p, n) skynet.rawsend(skynet.address(echo), "lua", p, n) end,
	}

	local function refused(what, ptr, size)
		for name, f in pairs(natives) do
			local ok, err = pcall(f, ptr, size)
			if ok then error(("%s took %s"):format(name, what), 2) end
			if type(err) ~= "string" or not err:find "%.lua:%d+: " then
				error(("%s with %s: the error is %s"):format(name, what, tostring(err)), 2)
			end
		end
		try.equal(skynet.call(echo, "lua", "alive"), "alive")
	end

	try.ours("forged: null, small, odd, large, of the kernel", function()
		census.steady(20, function()
			for _, forged in ipairs { 1, 8, 64, 4096, 0x123456789abc, 0x7fffffffffff, 0x7ffffffffff0, -1, math.mininteger } do
				refused(("%x"):format(forged), pointer(forged & 0xffffffffffffffff), 16)
			end
		end)
	end)

	try.ours("a null pointer with a size", function()
		for name, f in pairs(natives) do
			pcall(f, pointer(0), 16)
			try.equal(skynet.call(echo, "lua", name), name)
		end
	end)

	try.ours("real memory that is no message: of the Lua state, of a string, of the stack's neighbourhood", function()
		local text = ("%p"):format {}
		refused("a table", pointer(tonumber(text)), 16)
		refused("a long string", pointer(tonumber((("%p"):format(("long"):rep(100))))), 16)
		refused("a function", pointer(tonumber((("%p"):format(print)))), 16)
	end)

	try.ours("interior: every offset of a live message but the first", function()
		local msg, sz = skynet.pack(("some text "):rep(20))
		local base = address(msg)
		for _, offset in ipairs { 1, 2, 8, 16, 32, 63, 64, 128, 192 } do
			refused("offset " .. offset, pointer(base + offset), sz)
			refused("offset -" .. offset, pointer(base - offset), sz)
		end
		try.equal(skynet.unpack(msg, sz), ("some text "):rep(20))
		skynet.trash(msg, sz)
	end)

	try.ours("stale: after it was sent, answered, trashed", function()
		census.steady(50, function()
			local sent, n = skynet.pack "sent"
			core.send(echo, 10, 0, sent, n)
			local trashed, m = skynet.pack "trashed"
			core.trash(trashed, m)
			-- whatever became of the blocks: an error, never a crash, and others unharmed
			for _, f in pairs(natives) do
				pcall(f, sent, n)
				pcall(f, trashed, m)
			end
			try.equal(skynet.call(echo, "lua", "alive"), "alive")
		end)
		local trashed, m = skynet.pack "trashed"
		core.trash(trashed, m)
		refused("a trashed message", trashed, m)
	end)

	try.ours("foreign: a message that another service packed", function()
		local msg, sz = skynet.call(owner, "lua", "pack")
		refused("another's message", msg, sz)
		try.values({ "a message of somebody else", ("x"):rep(100) }, skynet.call(owner, "lua", "read"))
		skynet.call(owner, "lua", "drop")
	end)

	try.ours("a size that is too large, negative or no number is never believed", function()
		census.steady(20, function()
			for _, size in ipairs { 1 << 20, 1 << 31, 1 << 40, math.maxinteger, -1, math.mininteger } do
				local msg, sz = skynet.pack "abc"
				local ok, text = pcall(core.tostring, msg, size)
				if ok then try.yes(#text <= 64, "no more than the block has") end
				pcall(core.unpack, msg, size)
				core.trash(msg, sz)
				msg = skynet.pack "abc"
				if not pcall(core.send, echo, 10, 0, msg, size) then core.trash(msg, 4) end
			end
			local msg, sz = skynet.pack "abc"
			try.equal(pcall(core.send, echo, 10, 0, msg, "no number"), false)
			try.equal(pcall(core.send, echo, 10, 0, msg, {}), false)
			core.trash(msg, sz)
			try.equal(skynet.call(echo, "lua", "alive"), "alive")
		end)
	end)

	try.ours("a size that cuts a message short, long strings inside it or behind it", function()
		census.steady(5, function()
			local long = ("attached "):rep(1000)
			local whole = #skynet.packstring(1, long, { long, 2 }, 3)
			for _, size in ipairs { 0, 1, 2, 3, 5, 10, 20, 30, 100, 1000, #long, #long + 5, whole - 1, whole, whole + 1 } do
				local msg = skynet.pack(1, long, { long, 2 }, 3)
				local text = skynet.tostring(msg, size)
				try.equal(#text, math.min(size, whole))
				pcall(skynet.unpack, msg, size)
				local ok, answer, sz = pcall(skynet.rawcall, echo, "lua", msg, size)
				if size >= whole then
					try.equal(ok, true)
					try.values({ 1, long }, table.unpack({ skynet.unpack(answer, sz) }, 1, 2))
				end
			end
			try.equal(skynet.call(echo, "lua", "alive"), "alive")
		end)
	end)

	try.ours("answers with a pointer that is none fail at the answering side, and their requester hears of it", function()
		local liar = try.start "liar"
		census.steady(10, function()
			try.raises("call failed", skynet.call, liar, "lua", pointer(0x1000), 16)
			local msg, sz = skynet.call(owner, "lua", "pack")
			try.raises("call failed", skynet.call, liar, "lua", msg, sz)
			skynet.call(owner, "lua", "drop")
		end)
	end)

	try.ours("the message in hand: used twice, kept beyond its handler", function()
		local kept, size
		skynet.register_protocol {
			name = "raw",
			id = 140,
			pack = function(text) return text end,
			unpack = function(msg, sz) return msg, sz end,
			dispatch = function(session, _, msg, sz)
				kept, size = msg, sz
				try.equal(core.tostring(msg, sz), "payload")
				skynet.ret "ok"
			end,
		}
		for _ = 1, 20 do
			skynet.send(skynet.self(), "raw", "payload")
			skynet.yield()
			try.equal(size, 7)
			for name, f in pairs(natives) do
				-- the block may have a new life by now; what is not ours must be refused, ours is ours
				pcall(f, kept, size)
			end
			try.equal(skynet.call(echo, "lua", "alive"), "alive")
		end
	end)

	try.ours("what a service still owns when it ends is given back", function()
		census.steady(30, function()
			local s = try.start "owner"
			for _ = 1, 10 do skynet.call(s, "lua", "pack") end
			skynet.kill(s)
		end)
	end)
end)
