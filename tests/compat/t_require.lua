-- require in a service: modules that wait while they load, skynet.init.
local skynet = require "skynet"
local try = require "try"

-- registered in the main chunk: run before the start function, in this order
local started = {}
skynet.init(function()
	skynet.sleep(1)
	started[#started + 1] = "first"
end)
require "modules.initialised"
skynet.init(function() started[#started + 1] = "third" end)

try.main(function()
	try.case("initialisers ran in their order, before the start function, and could wait", function()
		try.equal(started[1], "first")
		try.equal(require "modules.initialised".ready, true)
		try.equal(started[2], "third")
	end)

	try.case("a module that waits is loaded once for two who want it", function()
		local a, b = try.later(require, "modules.slow"), try.later(require, "modules.slow")
		local _, first, name = a()
		local _, second = b()
		try.equal(first, second)
		try.equal(first.loads, 1)
		try.equal(first.name, "modules.slow")
		try.matches(first.file, "modules/slow%.lua$")
	end)

	try.case("initialisers of a module required late have run when require returns", function()
		local late = require "modules.late"
		try.equal(late.ready, true)
	end)

	try.case("nothing returned is true, stored once", function()
		try.equal(require "modules.nothing", true)
		try.equal(package.loaded["modules.nothing"], true)
	end)

	try.case("failures: the loader's and those who waited for it", function()
		local a, b = try.later(require, "modules.failing"), try.later(require, "modules.failing")
		local ok, err = a()
		try.equal(ok, false)
		try.contains(err, "the module fails")
		ok, err = b()
		try.equal(ok, false)
		try.contains(err, "require modules.failing failed")
		try.raises("module 'modules.none' not found", require, "modules.none")
	end)

	try.case("modules that need each other", function()
		try.raises("circular dependency", require, "modules.circle_a")
	end)
end)
