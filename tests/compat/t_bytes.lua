-- Text in whatever encoding: names, the environment, log lines and errors keep their bytes. (These are two words in GBK.)
local skynet = require "skynet"
local core = require "skynet.core"
require "skynet.manager"
local try = require "try"

local HELLO, WORLD = "\xc4\xe3\xba\xc3", "\xca\xc0\xbd\xe7"

local roles = {}

function roles.server(name)
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, cmd)
			if cmd == "fail" then error(HELLO) end
			skynet.retpack(name)
		end)
	end)
end

if try.role(roles, ...) then return end

try.main(function()
	try.case("local names", function()
		local hello, world = try.start("server", "hello"), try.start("server", "world")
		skynet.name("." .. HELLO, hello)
		skynet.name("." .. WORLD, world)
		try.equal(skynet.localname("." .. HELLO), hello)
		try.equal(skynet.localname("." .. WORLD), world)
		try.equal(skynet.localname ".\xc4\xe3\xba\xc4", nil)
		try.equal(skynet.call("." .. HELLO, "lua"), "hello")
		try.equal(skynet.call("." .. WORLD, "lua"), "world")
		try.contains(try.raises("call to invalid address", skynet.call, ".\xc4\xe3", "lua"), ".\xc4\xe3")
		try.equal(core.command("QUERY", "." .. WORLD), (":%x"):format(world))
		try.equal(core.command("REG", ".\xff"), "\xff")
		skynet.kill("." .. WORLD)
		try.equal(skynet.localname("." .. WORLD), nil)
		try.equal(skynet.localname("." .. HELLO), hello)
	end)

	try.case("the environment", function()
		skynet.setenv("bytes_" .. HELLO, WORLD)
		skynet.setenv("bytes_" .. WORLD, HELLO)
		try.equal(skynet.getenv("bytes_" .. HELLO), WORLD)
		try.equal(core.command("GETENV", "bytes_" .. WORLD), HELLO)
		try.contains(try.raises("Can't setenv exist key", skynet.setenv, "bytes_" .. WORLD, "x"), "bytes_" .. WORLD)
	end)

	try.case("log lines", function()
		local log = try.log()
		skynet.error(HELLO, WORLD)
		try.contains(log.wait(HELLO), HELLO .. " " .. WORLD)
		core.redirect(skynet.self(), 0, 99, 0, WORLD)
		log.wait(": " .. WORLD)
	end)

	try.case("errors", function()
		local s = try.start("server", "x")
		local log = try.log()
		try.raises("call failed", skynet.call, s, "lua", "fail")
		log.wait("t_bytes.lua:14: " .. HELLO)
		skynet.fork(error, WORLD)
		log.wait(WORLD .. "\nstack traceback:")
	end)
end)
