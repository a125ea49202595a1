---@meta skynet.debug

--- The protocol "debug", which every Lua service answers: MEM, GC, STAT, TASK, UNIQTASK, KILLTASK, INFO, EXIT, RUN, TERM,
--- SUPPORT, PING, LINK, TRACELOG.
---@class skynet.debug
local debug = {}

--- Adds a command to this service. The function answers with skynet.ret.
---@param name string
---@param fn fun(...)
function debug.reg_debugcmd(name, fn) end

--- Registers the protocol. Called by the module skynet.
---@param skynet skynet
---@param export { dispatch: function, suspend: function?, resume: function? }
function debug.init(skynet, export) end

return debug
