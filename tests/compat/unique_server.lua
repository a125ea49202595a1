-- unique_server: answers with its first argument.
local skynet = require "skynet"
local word = ...
skynet.start(function()
	skynet.sleep(1)
	skynet.dispatch("lua", function() skynet.retpack(word) end)
end)
