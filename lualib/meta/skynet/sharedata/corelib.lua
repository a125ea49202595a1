---@meta skynet.sharedata.corelib

--- Shared tables without names, counted by hand.
---@class skynet.sharedata.corelib
local corelib = {}

---@class skynet.sharedata.host
corelib.host = {}

--- Builds a shared table.
---@param t table
---@return userdata cobj
function corelib.host.new(t) end

---@param cobj userdata
function corelib.host.delete(cobj) end

---@param cobj userdata
---@return integer
function corelib.host.getref(cobj) end

---@param cobj userdata
---@return integer
function corelib.host.incref(cobj) end

---@param cobj userdata
---@return integer
function corelib.host.decref(cobj) end

--- Allows `update` to replace it.
---@param cobj userdata
function corelib.host.markdirty(cobj) end

--- What reads a shared table.
---@param cobj userdata
---@return table
function corelib.box(cobj) end

--- Lets a box read another shared table. Raises `Only dirty object can be update`.
---@param box table
---@param cobj userdata
function corelib.update(box, cobj) end

---@param box table
function corelib.flush(box) end

--- A plain copy, or the value at a path of keys.
---@param cobj userdata
---@param ... any
---@return any
function corelib.copy(cobj, ...) end

--- next for a box.
---@param box table
---@param key any
---@return any key, any value
function corelib.next(box, key) end

return corelib
