---@meta skynet.stm

--- A value with one writer and any number of readers in other services, which all read the same bytes.
---@class skynet.stm
local stm = {}

--- The writer of a value: call it with a new one. Readers see either value whole, never a mixture. When it is collected, or its
--- service ends, its readers have nothing to read any more.
---@class skynet.stm.writer
---@overload fun(value: string)
---@overload fun(msg: lightuserdata, sz: integer)

--- A reader. Called with a function it looks whether there is a value that it has not read, and calls the function with it: true
--- and the function's results; otherwise false, also when the writer is gone. The function gets a pointer, a size, and what
--- was given behind it; the pointer is good until the function ends, for reading only. It must not suspend.
---@class skynet.stm.reader
---@overload fun(func: (fun(msg: lightuserdata, sz: integer, ud: any): ...), ud?: any): boolean, ...
local reader = {}

--- An addition: waits until there is a value that this reader has not read. False when the time is over before, or there
--- will be none because the writer is gone. Any number of coroutines may wait with one reader.
---@async
---@param ti? integer  centiseconds; without it there is no limit
---@return boolean unread
function reader:wait(ti) end

--- Makes a value. A message is taken over.
---@param msg string|lightuserdata
---@param sz? integer  bytes, with a pointer
---@return skynet.stm.writer
function stm.new(msg, sz) end

--- A ticket for one reader: send it to the service that shall read. It is good once, in this node.
---@param writer skynet.stm.writer
---@return lightuserdata ticket
function stm.copy(writer) end

--- A reader for a ticket. Raises an error when the ticket is none, or somebody has taken it already.
---@param ticket lightuserdata
---@return skynet.stm.reader
function stm.newcopy(ticket) end

return stm
