-- Message logs (LOGON), tracing.
local skynet = require "skynet"
local core = require "skynet.core"
local try = require "try"

local roles = {}
function roles.server()
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, ...) skynet.retpack(...) end)
	end)
end
if try.role(roles, ...) then return end

local function file_of(s)
	local f = io.open(("./%08x.log"):format(s))
	if not f then return "" end
	local text = f:read "a"
	f:close()
	return text
end

try.main(function()
	try.case("LOGON writes every message of a service until LOGOFF", function()
		local s = try.start "server"
		local log = try.log()
		core.command("LOGON", skynet.address(s))
		log.wait(("Open log file ./%08x.log"):format(s))
		skynet.send(s, "lua", "abc")
		skynet.call(s, "lua", 1)
		core.command("LOGOFF", skynet.address(s))
		log.wait(("Close log file :%08x"):format(s))
		local text = try.until_true(function()
			local text = file_of(s)
			return text:find "close time" and text
		end)
		try.matches(text, "^open time: %d+ ")
		try.matches(text, ("\n:%08x 10 0 %%d+ 1c616263\n"):format(skynet.self()))
		try.matches(text, ("\n:%08x 10 [1-9]%%d* %%d+ 0a01\n"):format(skynet.self()))
		try.matches(text, "\nclose time: %d+\n?$")
	end)

	try.case("LOGLAUNCH logs from the first message on", function()
		local s = skynet.call(".launcher", "lua", "LOGLAUNCH", "snlua", SERVICE_NAME, "server")
		skynet.call(s, "lua", "x")
		skynet.send(s, "debug", "EXIT")
		try.until_true(function() return file_of(s):find(" 2445584954\n", 1, true) end, "the packed EXIT")
		try.contains(file_of(s), " 0c78\n", "the request in hex")
	end)

	try.case("trace: a request leaves its lines in both services", function()
		local s = try.start "server"
		local log = try.log()
		skynet.fork(function()
			skynet.trace "here"
			try.matches(skynet.tracetag(), "^" .. skynet.address(skynet.self()) .. "%-%d+$")
			skynet.call(s, "lua", 1)
		end)
		skynet.yield()
		log.wait "> "
		try.until_true(function() return log.find "trace here" end)
		try.until_true(function() return log.find(("[%s] <TRACE "):format(skynet.address(s))) end, "lines of the callee")
	end)

	try.case("traceproto: every request of a protocol, or none", function()
		skynet.traceproto("lua", false)
		skynet.traceproto("lua", nil)
		try.equal(pcall(skynet.traceproto, "no such protocol", true), false)
	end)
end)
