---@meta skynet.sharetable

--- Read-only tables that all services of a node share. A service reads the version that it has queried until it says otherwise.
---@class skynet.sharetable
local sharetable = {}

--- Runs a file and shares the table that it returns, under the file's name.
---@async
---@param filename string
---@param ... any  its arguments
function sharetable.loadfile(filename, ...) end

--- Runs a source text and shares the table that it returns.
---@async
---@param name string
---@param source string
---@param ... any  its arguments
function sharetable.loadstring(name, source, ...) end

--- Shares a table.
---@async
---@param name string
---@param t table
function sharetable.loadtable(name, t) end

--- The newest version of a table; the same object for each query of one version.
---@async
---@param name string
---@param option? "plain"  plain tables of one's own, as of now: as fast as any, and writing to them is local
---@return table?
function sharetable.query(name, option) end

--- Several tables, all by default. Unknown names are left out.
---@async
---@param names? string[]
---@return table<string, table>
function sharetable.queryall(names) end

--- Moves what this service holds of these tables to their newest versions.
---@async
---@param ... string
function sharetable.update(...) end

return sharetable
