---@meta skynet.service

--- Unique services that are made from a function instead of a file.
---@class skynet.service
local service = {}

--- The service of that name; the first caller makes it, by running `mainfunc(...)` in a new service. The function can
--- take nothing along: its only upvalue is _ENV.
---@async
---@param name string
---@param mainfunc fun(...)
---@param ... any
---@return skynet.handle
function service.new(name, mainfunc, ...) end

--- Waits until there is a service of that name.
---@async
---@param name string
---@return skynet.handle
function service.query(name) end

--- Ends the service and forgets its name.
---@async
---@param name string
---@return boolean  false when there is none
function service.close(name) end

return service
