---@meta skynet.debug

--- The protocol "debug", which every Lua service answers: MEM, GC, STAT, TASK, UNIQTASK, KILLTASK, INFO, EXIT, RUN, TERM,
--- SUPPORT, PING, LINK, TRACELOG.
---@class skynet.debug
local debug = {}

--- Adds a command to this service. The function answers with skynet.ret.
---@param name string
---@param fn fun(...)
function debug.reg_debugcmd(name, fn) end

--- Replaces the functions whose upvalues the command RUN shows to injected code.
---@param skynet skynet
---@param export { dispatch: function, suspend: function?, resume: function? }
function debug.init(skynet, export) end

--- Carries out one command. The protocol's dispatch function calls it.
---@param session integer
---@param source integer
---@param name string
function debug.dispatch(session, source, name, ...) end

return debug
