---@meta skynet.inject

--- Runs source inside this service. It sees the globals, a `print` whose lines are returned, `_U` with the tables that
--- the given functions hold in upvalues, and `_P` with those of each protocol's handler.
---@async
---@param skynet skynet
---@param source string
---@param filename string?  the name of the source in errors
---@param args table  the arguments of the source, with their count in `n`
---@param ... function
---@return boolean ok
---@return string[] output  lines; the error is the last one
local function inject(skynet, source, filename, args, ...) end

return inject
