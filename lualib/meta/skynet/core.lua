---@meta skynet.core

--- What the engine offers to a Lua service. `skynet` stands on it.
---@class skynet.core
local core = {}

--- Sends a message and returns at once. Consumes `msg` when it is a pointer: do not touch it afterwards.
---@param addr skynet.addr
---@param type integer       one of skynet.PTYPE_*
---@param session integer?   nil takes a new one, 0 wants no answer
---@param msg string|lightuserdata?
---@param sz? integer        the length that belongs to a pointer
---@return integer|false|nil session  nothing when the service does not exist, false when the message is too large
function core.send(addr, type, session, msg, sz) end

--- core.send in the name of another service.
---@param addr skynet.addr
---@param source skynet.handle
---@param type integer
---@param session integer?
---@param msg string|lightuserdata
---@param sz? integer
---@return integer|false|nil session
function core.redirect(addr, source, type, session, msg, sz) end

--- A command of the engine, in text.
---@param cmd string
---@param param? string
---@return string?
function core.command(cmd, param) end

--- A command whose result is a number.
---@param cmd string
---@param param? string|integer
---@return number?
function core.intcommand(cmd, param) end

--- A command whose result is a service.
---@param cmd string
---@param param? string
---@return skynet.handle?
function core.addresscommand(cmd, param) end

--- A new session number.
---@return integer
function core.genid() end

--- Writes a line to the log: the arguments in text form, joined by blanks.
---@param ... any
function core.error(...) end

--- The node of a handle.
---@param handle skynet.handle
---@return integer harbor_id
---@return boolean remote
function core.harbor(handle) end

--- Installs the function that gets every message. With `forward` it owns each message and frees it or passes it on.
---@param func fun(type: integer, msg: lightuserdata?, sz: integer, session: integer, source: skynet.handle)
---@param forward? boolean
function core.callback(func, forward) end

--- Writes a line of a trace, with up to three levels of the stack when a level is given.
---@param tag string
---@param text string
---@param thread? thread|integer
---@param level? integer
function core.trace(tag, text, thread, level) end

--- A message's bytes as a string; nothing for nil.
---@param msg lightuserdata|string|nil
---@param sz? integer  of a pointer
---@return string?
function core.tostring(msg, sz) end

--- Serializes values into a message.
---@param ... any
---@return lightuserdata? msg
---@return integer sz
function core.pack(...) end

--- The values of a packed message or string.
---@param msg lightuserdata|string|nil
---@param sz? integer
---@return any ...
function core.unpack(msg, sz) end

--- Serializes values into a string.
---@param ... any
---@return string
function core.packstring(...) end

--- Frees a message that no send has consumed.
---@param msg lightuserdata|string
---@param sz? integer  of a pointer
function core.trash(msg, sz) end

--- Hundredths of a second since the node started.
---@return integer
function core.now() end

--- A counter of nanoseconds.
---@return integer
function core.hpc() end

return core
