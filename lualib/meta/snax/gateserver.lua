---@meta snax.gateserver

--- A service that accepts connections and takes frames from them: a length of two bytes, the high one first, then so many
--- bytes. It takes the socket messages of its service, where `skynet.socket` cannot be used then.
---@class snax.gateserver
local gateserver = {}

--- What a gate server is asked to open. `address` and `port` are replaced by the real ones; other fields are the handler's.
---@class snax.gateserver.conf
---@field address string?  default 0.0.0.0; `address:port` without a `port`
---@field port integer?  0: any that is free
---@field maxclient integer?  default 1024; one less are served at a time
---@field nodelay boolean?  send small packets at once
---@field backlog integer?  connections that wait for their acceptance

---@class snax.gateserver.handler
---@field message async fun(fd: integer, msg: lightuserdata, sz: integer)  a frame, to be passed on or freed
---@field connect async fun(fd: integer, address: string)  a connection; it is not read before `openclient`
---@field disconnect (async fun(fd: integer))?  a connection has ended, or its peer sends no more: `closeclient` is due
---@field error (async fun(fd: integer, text: string))?  a connection has failed; `disconnect` follows
---@field warning (async fun(fd: integer, size_k: integer))?  so many KiB wait to be sent
---@field open (async fun(source: integer, conf: snax.gateserver.conf): ...)?  listening; its results answer the command "open"
---@field command (async fun(cmd: string, source: integer, ...): ...)?  any other command in the protocol lua; its results are the answer
---@field embed boolean?  the service calls skynet.start itself

--- Makes this service a gate server. It answers the commands `open` (once, with a snax.gateserver.conf) and `close` (no more
--- connections) in the protocol lua.
---@param handler snax.gateserver.handler
function gateserver.start(handler) end

--- Reads from a connection, from now on.
---@param fd integer
function gateserver.openclient(fd) end

--- Closes a connection once what it was given has been sent.
---@param fd integer
function gateserver.closeclient(fd) end

return gateserver
