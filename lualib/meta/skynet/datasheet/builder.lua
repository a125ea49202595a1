---@meta skynet.datasheet.builder

--- Makes sheets. Keys: 1 to n, or strings. Integers have 32 bits, other numbers become floats of 32 bits, strings end at a zero byte.
---@class skynet.datasheet.builder
local builder = {}

--- Makes a sheet under a new name.
---@async
---@param name string
---@param value table|string  a string is what `compile` gave
function builder.new(name, value) end

--- Makes a new version of a sheet.
---@async
---@param name string
---@param value table|string
function builder.update(name, value) end

--- A sheet as a binary document.
---@param value table
---@return string
function builder.compile(value) end

return builder
