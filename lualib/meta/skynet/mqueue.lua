---@meta skynet.mqueue

--- Messages that a service handles strictly one after the other.
---@class skynet.mqueue
---@deprecated
local mqueue = {}

--- Registers the function that handles the messages of this service, and starts. Once.
---@param f fun(...): ...
function mqueue.register(f) end

--- Waits for the turn of this message and returns what its handler returns; errors of the handler are raised here.
---@async
---@param addr skynet.addr
---@param ... any
---@return any ...
function mqueue.call(addr, ...) end

--- Sends a message. Its handler must return nothing.
---@param addr skynet.addr
---@param ... any
---@return integer|false|nil session
function mqueue.send(addr, ...) end

--- How many messages wait in this service.
---@return integer
function mqueue.size() end

return mqueue
