-- Has an initialiser that waits, required from a coroutine.
local skynet = require "skynet"
local M = {}
skynet.init(function()
	skynet.sleep(1)
	M.ready = true
end)
return M
