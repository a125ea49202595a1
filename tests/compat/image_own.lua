-- A service that puts a module of its own in the place of one that `skynet` requires.
local own = {}
package.loaded["skynet.codecache"] = own
local skynet = require "skynet"
skynet.start(function()
	skynet.dispatch("lua", function() skynet.retpack(skynet.cache == own) end)
end)
