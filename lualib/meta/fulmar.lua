---@meta fulmar

--- What services can ask of this engine beyond skynet's API.
---@class fulmar
local fulmar = {}

--- How a service is run. Without any field it runs as others do.
---@class fulmar.options
---@field worker integer?  the worker, counted from 1, that alone runs it
---@field thread boolean?  it gets a thread of its own and may block it
---@field mailbox integer?  requests that may wait for it; answers and errors always get through
---@field policy ("reject"|"drop_oldest"|"drop_newest")?  what happens to a request beyond that; default "reject"

--- Starts a Lua service as skynet.newservice does, and waits until it is ready. A send that its mailbox rejects returns
--- false, a call that it rejects or drops fails.
---@async
---@param options fulmar.options
---@param name string  script, as for skynet.newservice
---@param ... string|number  its arguments
---@return integer? handle  nil when it exits while it starts
function fulmar.newservice(options, name, ...) end

--- Starts a Lua service and returns at once, as skynet.launch does: `.launcher` does not know of it.
---@param options fulmar.options
---@param name string  script, as for skynet.newservice
---@param ... string|number  its arguments
---@return integer? handle  nil when it cannot be started
---@return string? reason
function fulmar.launch(options, name, ...) end

return fulmar
