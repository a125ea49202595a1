-- Malformed packed bytes: as text, as messages, as answers.
local skynet = require "skynet"
local core = require "skynet.core"
require "skynet.manager"
local census = require "census"
local try = require "try"

local roles = {}
function roles.echo()
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, ...) skynet.retpack(...) end)
	end)
end
-- Answers with the bytes it was told in a protocol of its own.
function roles.liar()
	skynet.register_protocol { name = "bytes", id = 141, unpack = skynet.tostring }
	skynet.start(function()
		skynet.dispatch("bytes", function(_, _, bytes) skynet.ret(bytes) end)
	end)
end
if try.role(roles, ...) then return end

local malformed = {
	"\7", "\15", "\255", -- types that are none
	"\17", "\65", -- booleans with odd cookies
	"\26", "\34\1\2\3", "\50\1", "\66\0\0", "\90", -- numbers cut short or of no width
	"\3", "\3\1\2\3", -- pointers cut short
	"\12", "\28ab", "\252abc", -- short strings cut short
	"\21", "\21\255", "\21\255\255", "\37\255\255\255\255", "\37\255\255\255\127abc", "\13", -- long strings
	"\6", "\14", "\22\10\1", "\254", "\254\50\255\255\255\255\255\255\255\127", "\254\34\255\255\255\127", -- tables
	"\254\10\200", "\254\12x", "\254\66\0\0\0\0\0\0\240\63",
	"\6\0\0", "\6\66\0\0\0\0\0\0\248\127\1\0", -- nil and NaN as keys
	"\6\12x", "\6\12x\10", ("\14"):rep(40), ("\14"):rep(100000), ("\6"):rep(100000),
}

try.main(function()
	local echo = try.start "echo"
	local liar = try.start "liar"
	skynet.register_protocol { name = "bytes as lua", id = 141, pack = function(s) return s end, unpack = skynet.unpack }

	try.ours("as text: an error or values, and nothing is left behind", function()
		census.steady(10, function()
			for _, bytes in ipairs(malformed) do
				local ok, err = pcall(skynet.unpack, bytes)
				if not ok then try.equal(type(err), "string") end
			end
		end)
	end)

	try.ours("as a request: an error, and the next one is served", function()
		census.steady(10, function()
			for _, bytes in ipairs(malformed) do
				local wrong = not pcall(skynet.unpack, bytes)
				local ok, err = pcall(skynet.rawcall, echo, "lua", bytes)
				if wrong then
					try.equal(ok, false, ("%q"):format(bytes:sub(1, 20)))
					try.contains(err, "call failed")
				end
				skynet.rawsend(echo, "lua", bytes)
			end
			try.equal(skynet.call(echo, "lua", "alive"), "alive")
		end)
	end)

	try.ours("as an answer: the caller's unpack raises in the caller", function()
		census.steady(10, function()
			for _, bytes in ipairs(malformed) do
				if not pcall(skynet.unpack, bytes) then
					local ok, err = pcall(skynet.call, liar, "bytes as lua", bytes)
					try.equal(ok, false)
					try.equal(type(err), "string")
				end
			end
			try.equal(skynet.call(echo, "lua", "alive"), "alive")
		end)
	end)

	try.ours("as launcher, debug and system messages", function()
		census.steady(3, function()
			for _, bytes in ipairs(malformed) do
				for kind = 0, 12 do
					-- answers and errors of our own making would be taken for real ones
					if kind ~= 1 and kind ~= 7 then core.send(echo, kind, 0, bytes) end
				end
				skynet.rawsend(".launcher", "lua", bytes)
				skynet.rawsend(".service", "lua", bytes)
				skynet.rawsend("DATACENTER", "lua", bytes)
			end
			try.equal(skynet.call(echo, "lua", "alive"), "alive")
			try.equal(type(skynet.call(".launcher", "lua", "LIST")), "table")
		end)
	end)

	try.ours("random bytes", function()
		math.randomseed(7, 11)
		census.steady(20, function()
			for _ = 1, 50 do
				local bytes = {}
				for i = 1, math.random(1, 40) do bytes[i] = string.char(math.random(0, 255)) end
				bytes = table.concat(bytes)
				pcall(skynet.unpack, bytes)
				pcall(skynet.rawcall, echo, "lua", bytes)
			end
			try.equal(skynet.call(echo, "lua", "alive"), "alive")
		end)
	end)

	try.ours("values that cannot be packed leave nothing behind", function()
		local cycle = {}
		cycle.self = cycle
		census.steady(50, function()
			pcall(skynet.pack, ("x"):rep(100000), print)
			pcall(skynet.pack, { 1, 2, { 3, ("y"):rep(5000), io.stdout } })
			pcall(skynet.pack, cycle)
			pcall(skynet.pack, setmetatable({}, { __pairs = function() error "in __pairs" end }))
			pcall(skynet.pack, ("z"):rep(5000), setmetatable({}, { __pairs = function() return 1 end }))
			pcall(skynet.send, echo, "lua", print)
			pcall(skynet.call, echo, "lua", ("x"):rep(10000), coroutine.create(print))
		end)
	end)
end)
