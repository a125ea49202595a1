-- fulmar.published: waits until something is published in the node's registry of tables.
local skynet = require "skynet"
local tables = require "fulmar.tables"

-- `seen`: the registry's version that is known already.
return function(seen)
	local token = {}
	local watch <close> = tables.watch(seen, function() skynet.wakeup(token) end)
	if watch then
		skynet.wait(token)
	end
end
