---@meta skynet.datasheet.dump

--- Sheets as binary documents.
---@class skynet.datasheet.dump
local dump = {}

---@param t table
---@return string
function dump.dump(t) end

--- The table of a document, and the number that each table has in it.
---@param document string
---@return table t, table<table, integer> numbers
function dump.undump(document) end

--- The new document, in which tables that the old one has at the same path keep their numbers.
---@param old string
---@param new string
---@return string
function dump.diff(old, new) end

return dump
