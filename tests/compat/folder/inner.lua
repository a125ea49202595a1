-- folder/inner: tells how it was found.
local skynet = require "skynet"

skynet.start(function()
	skynet.dispatch("lua", function()
		local ok, beside = pcall(require, "beside")
		skynet.retpack(SERVICE_NAME, SERVICE_PATH, ok and beside or nil)
	end)
end)
