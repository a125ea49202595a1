---@meta skynet.coroutine

--- The standard library's coroutines, for bodies that call functions of skynet: what suspends the body then suspends the
--- one that resumed it, too.
---@class skynet.coroutine
local coroutine = {}

--- A new coroutine.
---@param f fun(...): ...
---@return thread
function coroutine.create(f) end

--- Continues a coroutine that was made here. Fails for one that skynet has suspended.
---@async
---@param co thread
---@param ... any
---@return boolean ok
---@return any ...
function coroutine.resume(co, ...) end

--- Suspends the running coroutine; `resume` returns the arguments.
---@async
---@param ... any
---@return any ...
function coroutine.yield(...) end

--- A new coroutine as a function that continues it.
---@param f fun(...): ...
---@return fun(...): ...
function coroutine.wrap(f) end

--- The state of a coroutine; "blocked" means that skynet has suspended it.
---@param co thread
---@return "running"|"suspended"|"normal"|"dead"|"blocked"
function coroutine.status(co) end

--- The running coroutine, and whether it is the main one.
---@return thread
---@return boolean ismain
function coroutine.running() end

--- Can the running coroutine be suspended?
---@return boolean
function coroutine.isyieldable() end

--- Ends a suspended coroutine; its to-be-closed variables run.
---@param co thread
---@return boolean ok
---@return any err
function coroutine.close(co) end

--- The coroutine of skynet that has, through any number of others, resumed this one.
---@param co? thread  the running one by default
---@return thread
---@return boolean is_root  is it `co` itself?
function coroutine.thread(co) end

return coroutine
