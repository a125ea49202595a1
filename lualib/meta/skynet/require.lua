---@meta skynet.require

--- What a service's `require` and skynet.init are.
---@class skynet.require
local M = {}

--- `require` for modules that may suspend while they load. Who requires a module that another coroutine is loading waits.
---@async
---@param name string
---@return any
function M.require(name) end

--- Registers an initialiser of the module (or the service) that is being loaded.
---@param f fun()
function M.init(f) end

--- Runs the initialisers of the main chunk.
---@async
function M.init_all() end

return M
