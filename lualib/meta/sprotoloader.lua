---@meta sprotoloader

--- Schemas that all services of a node read, in sixteen places. Fill a place before others read it.
---@class sprotoloader
local loader = {}

--- Parses a file into a place. Raises "Can't open sproto file" when it cannot be read.
---@param filename string
---@param index integer  0 to 15
function loader.register(filename, index) end

--- Puts a bundle into a place.
---@param bin string
---@param index integer  0 to 15
function loader.save(bin, index) end

--- The schema in a place. Raises an error when there is none.
---@param index integer  0 to 15
---@return sproto
function loader.load(index) end

return loader
