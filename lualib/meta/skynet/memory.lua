---@meta skynet.memory

--- What the services of the node hold: Lua heaps, and blocks of messages.
---@class skynet.memory
local memory = {}

--- Bytes of all services.
---@return integer
function memory.total() end

--- Blocks of messages.
---@return integer
function memory.block() end

--- Bytes by service: its Lua heap at the end of its last turn, and its blocks of messages.
---@return table<skynet.handle, integer>
function memory.info() end

--- Bytes of this service: its Lua heap, and its blocks of messages.
---@return integer
function memory.current() end

--- Logs the bytes of every service and their sum.
function memory.dump() end

--- Logs what the allocator tells about itself.
---@param opts? string
function memory.dumpinfo(opts) end

--- Figures of the allocator, by name.
---@return table<string, integer>
function memory.jestat() end

--- One figure of the allocator.
---@param name string
---@return integer
function memory.mallctl(name) end

--- Writes a heap profile, where the allocator can.
function memory.dumpheap() end

--- Turns heap profiling on or off; tells whether it is on.
---@param on? boolean
---@return boolean
function memory.profactive(on) end

return memory
