---@meta skynet.harbor

--- Names that hold in the whole network, and the state of its nodes.
---@class skynet.harbor
local harbor = {}

--- Gives a service a name in the whole network. Takes effect a little later.
---@param name skynet.globalname
---@param handle? skynet.handle  this service by default
function harbor.globalname(name, handle) end

--- The service of that name; waits until there is one.
---@async
---@param name skynet.globalname|skynet.localname
---@return skynet.handle
function harbor.queryname(name) end

--- Returns when the connection to a node is lost, at once when there is none.
---@async
---@param id integer
function harbor.link(id) end

--- Returns when a node is connected.
---@async
---@param id integer
function harbor.connect(id) end

--- Returns when the connection to the master is lost.
---@async
function harbor.linkmaster() end

return harbor
