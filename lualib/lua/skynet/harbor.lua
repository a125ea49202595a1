-- skynet.harbor: names that hold in the whole network, and the state of its nodes. A face of the service .cslave.
local skynet = require "skynet"

local harbor = {}

function harbor.globalname(name, handle)
	skynet.send(".cslave", "lua", "REGISTER", name, handle or skynet.self())
end

function harbor.queryname(name)
	if name:byte() == 46 then	-- "." is a name of this node, there or not
		return skynet.localname(name)
	end
	return skynet.call(".cslave", "lua", "QUERYNAME", name)
end

function harbor.link(id)
	skynet.call(".cslave", "lua", "LINK", id)
end

function harbor.connect(id)
	skynet.call(".cslave", "lua", "CONNECT", id)
end

function harbor.linkmaster()
	skynet.call(".cslave", "lua", "LINKMASTER")
end

return harbor
