-- A service that keeps the loader of `skynet` while it gives a part of the module away.
local searcher = package.searchers[2]
local loader = searcher "skynet"
package.loaded["skynet.core"] = {}
searcher "skynet"
local ok, err = pcall(loader, "skynet")
package.loaded["skynet.core"] = nil
local skynet = require "skynet"
skynet.start(function()
	skynet.dispatch("lua", function() skynet.retpack(ok, err) end)
end)
