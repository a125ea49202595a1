---@meta skynet.crypt

--- Hashes, DES, the key exchange of the login protocol, and texts of bytes. Also `client.crypt`. What has a fixed number of
--- bits here protects from accidents and idle listeners, not from attackers.
---@class skynet.crypt
local crypt = {}

--- How DES fills a text up to whole blocks.
---@class skynet.crypt.padding
---@field iso7816_4 0  0x80, then zeros
---@field pkcs7 1  bytes that tell their number
crypt.padding = {}

--- A short hash of a text, to be keyed with `hmac64`.
---@param text string
---@return string bytes8
function crypt.hashkey(text) end

--- 8 random bytes, from the system's source for secrets. The exclusive or of all is never 0.
---@return string bytes8
function crypt.randomkey() end

--- Encrypts with DES, each block by itself. A padding is always added.
---@param key string  8 bytes
---@param text string
---@param padding? 0|1  crypt.padding.iso7816_4 (the default) or .pkcs7
---@return string
function crypt.desencode(key, text, padding) end

--- Decrypts with DES. Raises `Invalid des crypt text` when there is no sound padding at the end.
---@param key string  8 bytes
---@param text string
---@param padding? 0|1
---@return string
function crypt.desdecode(key, text, padding) end

--- Two digits for each byte, in lower case.
---@param bytes string
---@return string
function crypt.hexencode(bytes) end

--- Bytes from digits in lower case. Raises `Invalid hex text`.
---@param text string
---@return string
function crypt.hexdecode(text) end

--- A keyed hash of 8 bytes.
---@param x string  8 bytes
---@param y string  8 bytes
---@return string bytes8
function crypt.hmac64(x, y) end

--- A keyed hash of 8 bytes, made of a whole MD5.
---@param x string  8 bytes
---@param y string  8 bytes
---@return string bytes8
function crypt.hmac64_md5(x, y) end

--- A keyed hash of a text: `hmac64(hashkey(text), key)`.
---@param key string  8 bytes
---@param text string
---@return string bytes8
function crypt.hmac_hash(key, text) end

--- What to send to the other side, for a secret of one's own.
---@param secret string  8 bytes, not all zero
---@return string bytes8
function crypt.dhexchange(secret) end

--- The secret that both sides then share.
---@param other string  8 bytes, what the other side has sent
---@param secret string  8 bytes, one's own
---@return string bytes8
function crypt.dhsecret(other, secret) end

---@param bytes string
---@return string
function crypt.base64encode(bytes) end

--- Skips characters that are none of base 64; the last `=` may be missing. Raises `Invalid base64 text`.
---@param text string
---@return string
function crypt.base64decode(text) end

---@param bytes string
---@return string bytes20
function crypt.sha1(bytes) end

---@param key string
---@param bytes string
---@return string bytes20
function crypt.hmac_sha1(key, bytes) end

--- A text mixed with a key, as often as it takes. Done twice it gives the text.
---@param text string
---@param key string  not empty
---@return string
function crypt.xor_str(text, key) end

return crypt
