---@meta sproto.core

--- The codec below `sproto`, which most programs use instead. A schema is a light userdata that stands for it: one that is
--- not, or no longer, valid raises an error.
---@class sproto.core
local core = {}

--- A schema's text as a bundle.
---@param text string
---@param name? string
---@return string bin
function core.parse(text, name) end

--- A schema from a bundle; nothing when the bytes are none.
---@param bin string
---@return lightuserdata? cobj
function core.newproto(bin) end

--- Frees a schema. Types that have been taken from it stay valid.
---@param cobj lightuserdata
function core.deleteproto(cobj) end

--- Prints a schema.
---@param cobj lightuserdata
function core.dumpproto(cobj) end

--- A type of a schema.
---@param cobj lightuserdata
---@param typename string
---@return userdata? type
function core.querytype(cobj, typename) end

--- A protocol of a schema: its tag (or name, when asked by tag), and its types. The response is a null pointer for
--- `response nil`: it encodes nil as "".
---@param cobj lightuserdata
---@param name string|integer
---@return integer|string? tag  or name
---@return userdata? request
---@return userdata? response
function core.protocol(cobj, name) end

---@param type userdata
---@param value table
---@return string
function core.encode(type, value) end

---@param type userdata
---@param data string|lightuserdata|userdata
---@param size? integer
---@param into? table
---@return table value
---@return integer used
function core.decode(type, data, size, into) end

---@param type userdata
---@return table
function core.default(type) end

---@param data string|lightuserdata|userdata
---@param size? integer
---@return string
function core.pack(data, size) end

---@param data string|lightuserdata|userdata
---@param size? integer
---@return string
function core.unpack(data, size) end

--- Puts a schema into one of the node's sixteen places.
---@param cobj lightuserdata
---@param index integer  0 to 15
function core.saveproto(cobj, index) end

--- The schema in a place.
---@param index integer  0 to 15
---@return lightuserdata cobj
function core.loadproto(index) end

return core
