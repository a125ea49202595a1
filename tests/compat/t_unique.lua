-- Unique services, skynet.service, the launcher.
local skynet = require "skynet"
local service = require "skynet.service"
require "skynet.manager"
local try = require "try"

local roles = {}
function roles.server(...)
	local args = { ... }
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, ...) skynet.retpack(args, ...) end)
	end)
end
if try.role(roles, ...) then return end

try.main(function()
	try.case("uniqueservice: one for everybody, started once, arguments of the first", function()
		local a = try.later(skynet.uniqueservice, "unique_server", "first")
		local b = try.later(skynet.uniqueservice, "unique_server", "second")
		local _, one = a()
		local _, two = b()
		try.equal(one, two)
		try.equal(skynet.queryservice "unique_server", one)
		local word = skynet.call(one, "lua")
		try.yes(word == "first" or word == "second")
	end)

	try.case("queryservice waits for the first start", function()
		local waiting = try.later(skynet.queryservice, "unique_late")
		skynet.sleep(2)
		local handle = skynet.uniqueservice "unique_late"
		try.values({ true, handle }, waiting())
	end)

	try.case("network-wide ones have names of their own", function()
		local here, everywhere = skynet.uniqueservice "unique_server", skynet.uniqueservice(true, "unique_server")
		try.yes(here ~= everywhere)
		try.equal(skynet.queryservice(true, "unique_server"), everywhere)
		local list = skynet.call(".service", "lua", "LIST")
		try.equal(list.unique_server, skynet.address(here))
		try.equal(list["@unique_server"], skynet.address(everywhere))
	end)

	try.case("a failed start is remembered and listed", function()
		try.equal(pcall(skynet.uniqueservice, "unique_failing"), false)
		try.equal(pcall(skynet.uniqueservice, "unique_failing"), false)
		try.matches(skynet.call(".service", "lua", "LIST").unique_failing, "^Error: ")
		try.equal(pcall(skynet.call, ".service", "lua", "NO_SUCH_COMMAND"), true)
	end)

	try.case("skynet.service: from a function, once, with its arguments", function()
		local function body(...)
			local skynet = require "skynet"
			local args = { ... }
			skynet.start(function()
				skynet.dispatch("lua", function(_, _, x) skynet.retpack(args[1], x) end)
			end)
		end
		local a = service.new("unique.body", body, "argument")
		try.equal(service.new("unique.body", body, "another"), a)
		try.equal(service.query "unique.body", a)
		try.values({ "argument", 5 }, skynet.call(a, "lua", 5))
		try.equal(service.close "unique.body", true)
		try.equal(service.close "unique.body", false)
	end)

	try.case("skynet.service: without a handler, requests fail", function()
		local a = service.new("unique.mute", function() require "skynet".start(function() end) end)
		local log = try.log()
		try.raises("call failed", skynet.call, a, "lua")
		log.wait "No dispatch function"
	end)

	try.case("launcher: LIST, STAT, MEM, GC, QUERY", function()
		local s = try.start("server", "a")
		local address = skynet.address(s)
		local list = skynet.call(".launcher", "lua", "list")
		try.equal(list[address], "snlua t_unique server a")
		try.equal(list[":00000003"], nil)
		try.equal(type(skynet.call(".launcher", "lua", "STAT")[address]), "table")
		try.matches(skynet.call(".launcher", "lua", "MEM")[address], "^[%d.]+ Kb %(snlua t_unique server a%)$")
		try.matches(skynet.call(".launcher", "lua", "GC", 100)[address], "Kb %(")
		try.equal(skynet.call(".launcher", "lua", "QUERY", 123456), nil)
		try.equal(skynet.localname ".launcher", 3)
	end)

	try.case("launcher: a service that does not answer in time", function()
		local s = skynet.newservice "unique_busy"
		skynet.send(s, "lua", "work")
		local stat = skynet.call(".launcher", "lua", "STAT", 2)
		try.yes(stat[skynet.address(s)] == "TIMEOUT" or type(stat[skynet.address(s)]) == "table")
		skynet.call(s, "lua", "done?")
	end)
end)
