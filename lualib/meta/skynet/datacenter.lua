---@meta skynet.datacenter

--- A tree of values that all services of a network share.
---@class skynet.datacenter
local datacenter = {}

--- The value at a path of keys; a branch is copied.
---@async
---@param key any
---@param ... any  further keys
---@return any
function datacenter.get(key, ...) end

--- Sets the value at a path: set(key, ..., value). Branches are made on the way.
---@async
---@param key any
---@param ... any  further keys and the value
---@return any old
function datacenter.set(key, ...) end

--- The value at a path; waits until there is one.
---@async
---@param key any
---@param ... any  further keys
---@return any
function datacenter.wait(key, ...) end

return datacenter
