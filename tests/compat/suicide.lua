-- suicide: kills itself inside a handler, then goes on.
local skynet = require "skynet"
require "skynet.manager"

skynet.start(function()
	skynet.dispatch("lua", function()
		skynet.kill(skynet.self())
		skynet.error "still running"
		skynet.sleep(1)
		skynet.error "ran on"
	end)
end)
