---@meta skynet.manager

---@alias skynet.filter fun(type: integer, msg: lightuserdata?, sz: integer, session: integer, source: skynet.handle): ...

--- Starting, naming, watching and ending services. Requiring it adds these functions to `skynet`.
---@class skynet
local skynet = {}

--- Starts a service of any module and returns when its init has run: for `snlua`, before its script.
---@param module string
---@param ... string|number
---@return skynet.handle?  nil when it could not start
function skynet.launch(module, ...) end

--- Removes a service at once. Its callers get an error.
---@param name skynet.addr
function skynet.kill(name) end

--- Ends this node.
function skynet.abort() end

--- Names this service: ".name" in this process, any other name in the whole network.
---@param name skynet.localname|skynet.globalname
function skynet.register(name) end

--- Names a service. A local name that is taken stays where it is.
---@param name skynet.localname|skynet.globalname
---@param handle skynet.handle
function skynet.name(name, handle) end

--- In place of skynet.start: messages whose type is a key of `map` are dispatched as type map[type] and belong to their
--- handler, which passes them on or frees them.
---@param map table<integer, integer>
---@param start_func fun()
function skynet.forward_type(map, start_func) end

--- In place of skynet.start: every message is dispatched as `f` returns it.
---@param f skynet.filter  gives type, msg, sz, session, source
---@param start_func fun()
function skynet.filter(f, start_func) end

--- Makes a globally unique service this node's exit monitor: it gets a message of type PTYPE_CLIENT from every service
--- that ends.
---@async
---@param service string
---@param query? boolean  only look for it, do not start it
---@return skynet.handle
function skynet.monitor(service, query) end

return skynet
