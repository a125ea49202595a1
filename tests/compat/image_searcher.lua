-- A service that finds a part of `skynet` by itself.
table.insert(package.searchers, 1, function(name)
	if name == "skynet.codecache" then
		return function() return { own = true } end
	end
end)
local skynet = require "skynet"
skynet.start(function()
	skynet.dispatch("lua", function() skynet.retpack(skynet.cache.own) end)
end)
