---@meta skynet.sharedata

--- Read-only tables that many services read in place, and that follow updates. Values: booleans, numbers, strings, tables; keys: integers
--- and strings.
---@class skynet.sharedata
local sharedata = {}

--- Gives a name a table. Raises when the name has one.
---@async
---@param name string
---@param value table|string|nil  a table; source text, or "@file": the table that it returns, else its globals
---@param ... any  arguments of the source
function sharedata.new(name, value, ...) end

--- Gives a name another table, or its first. Readers see it when they have run next.
---@async
---@param name string
---@param value table|string|nil
---@param ... any
function sharedata.update(name, value, ...) end

--- Takes a name away. Who holds its table keeps the last content.
---@async
---@param name string
function sharedata.delete(name) end

--- Publishes several tables in one step: no service sees one new and one old. false takes a name away.
---@async
---@param batch table<string, table|string|false>
function sharedata.batch(batch) end

--- Gives a name the table in an image file (`fulmar data build`), which is read in place.
---@async
---@param name string
---@param path string
function sharedata.load(name, path) end

--- Changes one place of a table. It costs the size of the change, not of the table.
---@async
---@param name string
---@param path any  a key, or an array of keys
---@param value any  nil removes the key
function sharedata.patch(name, path, value) end

--- The table of a name, read in place. The same one for each query while somebody holds it. Writing to it raises. A scalar that was read from it
--- stays what it was; a table follows updates as long as its path leads to one.
---@async
---@param name string
---@param option? "plain"  plain tables of one's own, as of now: as fast as any, and writing to them is local
---@return table
function sharedata.query(name, option) end

--- A plain copy of the table, or of the value at a path of keys.
---@async
---@param name string
---@param ... any  keys
---@return any
function sharedata.deepcopy(name, ...) end

--- Moves all tables that this service holds to their newest versions, and collects garbage.
function sharedata.flush() end

--- Waits for the next version of a table. Returns the keys at its top that have changed; nil when the name is gone.
---@async
---@param name string
---@return (string|integer)[]? keys
function sharedata.wait(name) end

--- Calls `listener` after each update of a table that this service holds.
---@param name string
---@param listener fun(keys: (string|integer)[], table: table)
function sharedata.listen(name, listener) end

return sharedata
