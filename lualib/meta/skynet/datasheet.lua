---@meta skynet.datasheet

--- Sheets that a service owns (skynet.datasheet.builder), read in place.
---@class skynet.datasheet
local datasheet = {}

--- The sheet of a name. Its tables stay the same in updates, as long as their paths lead to one. An error is remembered.
---@async
---@param name string
---@return table
function datasheet.query(name) end

return datasheet
