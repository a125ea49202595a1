-- How a service's file is found and what it finds in its globals.
local skynet = require "skynet"
local try = require "try"

local words = table.pack(...)
local roles = {}
function roles.words()
	skynet.start(function()
		skynet.dispatch("lua", function()
			skynet.retpack(words, SERVICE_NAME, SERVICE_PATH, package.path)
		end)
	end)
end

function roles.globals()
	local found = {
		temporary = tostring(LUA_PATH) .. tostring(LUA_CPATH) .. tostring(LUA_SERVICE) .. tostring(LUA_PRELOAD),
		resume = coroutine.resume == require "skynet.profile".resume,
		require = require == require "skynet.require".require,
		version = _VERSION,
		collector = collectgarbage "incremental",
	}
	skynet.start(function()
		skynet.dispatch("lua", function() skynet.retpack(found) end)
	end)
end
if try.role(roles, ...) then return end

try.main(function()
	local suite = skynet.getenv "suite"

	try.case("words after the name are strings, split at blanks", function()
		local s = skynet.newservice(SERVICE_NAME, "words", 1, 2.5, "a b", "", "c")
		local got, name, path = skynet.call(s, "lua")
		try.values({ "words", "1", "2.5", "a", "b", "c" }, table.unpack(got, 1, got.n))
		try.equal(name, "t_loader")
		try.equal(path, suite)
	end)

	try.case("a folder of its own: SERVICE_PATH, modules beside it, its name with the folder", function()
		local s = skynet.newservice("folder/inner", "x")
		local name, path, beside = skynet.call(s, "lua")
		try.equal(name, "folder/inner")
		try.contains(path, "compat/")
		try.equal(beside, nil)
	end)

	try.case("globals of a service", function()
		local found = skynet.call(try.start "globals", "lua")
		try.equal(found.temporary, "nilnilnilnil")
		try.equal(found.resume, true)
		try.equal(found.version, "Lua 5.5")
	end)

	try.case("not found: each place is named", function()
		local log = try.log()
		try.raises("call failed", skynet.newservice, "no_such_service")
		local line = log.wait "lua loader error : "
		try.contains(line, "no_such_service.lua")
		try.contains(line, suite)
	end)

	try.case("a file that does not compile says where", function()
		local log = try.log()
		try.raises("call failed", skynet.newservice, "broken_syntax")
		try.matches(log.wait "lua loader error : ", "broken_syntax%.lua:3:")
	end)
end)
