-- service_cell: an empty service that becomes what its first request, init(code, ...), makes of it. See skynet.service.
local skynet = require "skynet"

local name = ...

local function init(code, ...)
	skynet.start = function(f)
		f()
	end
	skynet.dispatch("lua", function()
		error "No dispatch function"
	end)
	assert(load(code, name))(...)
	skynet.ret()
end

skynet.start(function()
	skynet.dispatch("lua", function(_, _, command, ...)
		assert(command == "init")
		init(...)
	end)
end)
