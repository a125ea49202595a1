---@meta skynet.profile

--- Processor time of single coroutines.
---@class skynet.profile
local profile = {}

--- Begins to count the time in which a coroutine runs.
---@param thread? thread  the running one by default
function profile.start(thread) end

--- Ends the count.
---@param thread? thread
---@return number seconds
function profile.stop(thread) end

--- coroutine.resume that counts. It is the global one in a service.
---@param co thread
---@param ... any
---@return boolean ok
---@return any ...
function profile.resume(co, ...) end

--- coroutine.wrap that counts. It is the global one in a service.
---@param f fun(...): ...
---@return fun(...): ...
function profile.wrap(f) end

return profile
