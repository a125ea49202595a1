---@meta md5

--- MD5, for what still speaks it. Also `md5.core`.
---@class md5
local md5 = {}

---@param bytes string
---@return string bytes16
function md5.sum(bytes) end

---@param bytes string
---@return string digits  32, in lower case
function md5.sumhexa(bytes) end

--- The keyed hash of RFC 2104.
---@param bytes string
---@param key string
---@return string digits  32, in lower case
function md5.hmacmd5(bytes, key) end

--- The exclusive or of two strings of one length.
---@param a string
---@param b string
---@return string
function md5.exor(a, b) end

--- Encrypts with a stream made of MD5.
---@param text string
---@param key string  at most 256 bytes
---@param seed? string  at most 16 bytes; random when not given. It is part of the result
---@return string
function md5.crypt(text, key, seed) end

--- Undoes `crypt`.
---@param text string
---@param key string
---@return string
function md5.decrypt(text, key) end

return md5
