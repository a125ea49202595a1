---@meta skynet.sharemap

--- Records with one writer and any number of readers in other services. The fields are those of a sproto type.
---@class skynet.sharemap
local sharemap = {}

--- Assign its fields, then commit. A field that is nil is left out.
---@class skynet.sharemap.writer
---@field [string] any
local writer = {}

--- Publishes the fields as they are now. Raises an error, and publishes nothing, when a value does not fit its field.
function writer:commit() end

--- A ticket for one reader: send it to the service that shall read.
---@return lightuserdata ticket
function writer:copy() end

--- Has the fields as they were when it was updated last. Assigning to it raises an error.
---@class skynet.sharemap.reader
---@field [string] any
local reader = {}

--- Takes what was committed last. False when that is nothing new, or the writer is gone.
---@return boolean changed
---@return table? fields  all of them
---@return integer? used  bytes
function reader:update() end

--- Loads the types, from a file into place 0 of `sprotoloader`. Once per node.
---@param protofile string
function sharemap.register(protofile) end

--- A writer of a record.
---@param typename string
---@param obj? table  the first values; the writer goes on using this table
---@return skynet.sharemap.writer
function sharemap.writer(typename, obj) end

--- A reader of a record, from `writer:copy()`. Each ticket is good for one reader.
---@param typename string
---@param stmcpy lightuserdata
---@return skynet.sharemap.reader
function sharemap.reader(typename, stmcpy) end

--- `writer:commit()`.
---@param writer skynet.sharemap.writer
function sharemap.commit(writer) end

--- `writer:copy()`.
---@param writer skynet.sharemap.writer
---@return lightuserdata ticket
function sharemap.copy(writer) end

--- `reader:update()`.
---@param reader skynet.sharemap.reader
---@return boolean changed
---@return table? fields
---@return integer? used
function sharemap.update(reader) end

--- An addition: waits until something was committed that this reader has not taken. False when the time is over before, or the writer is
--- gone.
---@async
---@param reader skynet.sharemap.reader
---@param ti? integer  centiseconds; without it there is no limit
---@return boolean unread
function sharemap.wait(reader, ti) end

return sharemap
