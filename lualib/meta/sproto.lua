---@meta sproto

--- A schema and the functions that use it. See also `sprotoloader` for schemas that services share.
---@class sproto
local sproto = {}

---@class sproto.proto
---@field name string
---@field tag integer
---@field request? userdata  type of the request, for `sproto.core`
---@field response? userdata  type of the response; a null pointer for `response nil`

--- A schema from a bundle, as `sprotoparser.parse` makes it. It is freed with the object.
---@param bin string
---@return sproto
function sproto.new(bin) end

--- A Sproto around a schema that others share (`sproto.core.loadproto`): it is not freed with the object.
---@param cobj lightuserdata
---@return sproto
function sproto.sharenew(cobj) end

--- A schema from its text.
---@param text string
---@return sproto
function sproto.parse(text) end

--- Packs bytes: zero bytes vanish.
---@param data string|lightuserdata|userdata
---@param size? integer  bytes, with a pointer
---@return string packed
function sproto.pack(data, size) end

--- Unpacks what `pack` made, with up to seven zero bytes behind it.
---@param data string|lightuserdata|userdata
---@param size? integer  bytes, with a pointer
---@return string
function sproto.unpack(data, size) end

--- Does the schema have this type? A nested one is called Outer.Inner.
---@param typename string
---@return boolean
function sproto:exist_type(typename) end

--- Does the schema have this protocol?
---@param name string|integer  name or tag
---@return boolean
function sproto:exist_proto(name) end

--- A value as bytes. Raises an error that names field, expected and actual type when a value does not fit.
---@param typename string
---@param value table
---@return string
function sproto:encode(typename, value) end

--- A value out of bytes.
---@param typename string
---@param data string|lightuserdata|userdata
---@param size? integer  bytes, with a pointer
---@param into? table  filled instead of a new table; give the size with it, also for a string
---@return table value
---@return integer used  bytes
function sproto:decode(typename, data, size, into) end

--- `encode`, then `pack`.
---@param typename string
---@param value table
---@return string
function sproto:pencode(typename, value) end

--- `unpack`, then `decode`.
---@param typename string
---@param data string|lightuserdata|userdata
---@param size? integer
---@return table value
---@return integer used
function sproto:pdecode(typename, data, size) end

--- A protocol, by name or by tag. Raises an error when there is none.
---@param name string|integer
---@return sproto.proto
function sproto:queryproto(name) end

--- The request of a protocol as bytes; "" when it carries nothing.
---@param name string|integer
---@param value? table
---@return string
---@return integer tag
function sproto:request_encode(name, value) end

--- The response of a protocol as bytes; "" when it carries nothing.
---@param name string|integer
---@param value? table
---@return string
function sproto:response_encode(name, value) end

--- The request of a protocol out of bytes: value, bytes used, and the protocol's name; or nil and the name when it
--- carries nothing.
---@param name string|integer
---@param data string|lightuserdata|userdata
---@param size? integer
---@return table? value
---@return integer|string used
---@return string? name
function sproto:request_decode(name, data, size) end

--- The response of a protocol out of bytes; nothing when it carries nothing.
---@param name string|integer
---@param data string|lightuserdata|userdata
---@param size? integer
---@return table? value
---@return integer? used
function sproto:response_decode(name, data, size) end

--- A table that has the zero value in every field: arrays as { __array = zero value }, structures as { __type = name }.
---@param name string  a type; with `part`, a protocol
---@param part? "REQUEST"|"RESPONSE"
---@return table?
function sproto:default(name, part) end

--- One side of a connection. Messages begin with a value of type `packagename`, which has the fields `type` and `session`
--- (integers), and `ud` if you like.
---@param packagename? string  "package" by default
---@return sproto.host
function sproto:host(packagename) end

---@class sproto.host
local host = {}

--- Takes a packed message apart. A request gives "REQUEST", its name, its value, a function that makes the packed answer
--- (when one is wanted), and its user data; a response gives "RESPONSE", its session, its value, and its user data.
---@param data string|lightuserdata|userdata
---@param size? integer
---@return "REQUEST"|"RESPONSE" kind
---@return string|integer name  or session
---@return table? value
---@return (fun(value?: table, ud?: any): string)|any response
---@return any ud
function host:dispatch(data, size) end

--- A function that makes packed requests for a peer that speaks `sp`. With a session, `dispatch` knows the answer.
---@param sp sproto
---@return fun(name: string|integer, value?: table, session?: integer, ud?: any): string
function host:attach(sp) end

return sproto
