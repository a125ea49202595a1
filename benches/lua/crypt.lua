-- What the functions of skynet.crypt and md5 cost, on any engine with skynet's API (`start = "crypt"` with this folder in
-- `luaservice`). Each result is checked first.
local skynet = require "skynet"
require "skynet.manager"
local crypt = require "skynet.crypt"
local md5 = require "md5"

local KEY, OTHER = "12345678", "abcdefgh"
local TEXT = ("0123456789abcdef"):rep(64)	-- 1 KiB

local cases = {
	{ "hashkey.1KiB", crypt.hashkey, TEXT },
	{ "hmac64", crypt.hmac64, KEY, OTHER },
	{ "hmac64_md5", crypt.hmac64_md5, KEY, OTHER },
	{ "dhexchange", crypt.dhexchange, KEY },
	{ "dhsecret", crypt.dhsecret, KEY, OTHER },
	{ "randomkey", crypt.randomkey },
	{ "desencode.1KiB", crypt.desencode, KEY, TEXT },
	{ "desdecode.1KiB", crypt.desdecode, KEY, crypt.desencode(KEY, TEXT) },
	{ "hexencode.1KiB", crypt.hexencode, TEXT },
	{ "hexdecode.1KiB", crypt.hexdecode, crypt.hexencode(TEXT) },
	{ "base64encode.1KiB", crypt.base64encode, TEXT },
	{ "base64decode.1KiB", crypt.base64decode, crypt.base64encode(TEXT) },
	{ "sha1.1KiB", crypt.sha1, TEXT },
	{ "hmac_sha1.1KiB", crypt.hmac_sha1, KEY, TEXT },
	{ "xor_str.1KiB", crypt.xor_str, TEXT, KEY },
	{ "md5.sum.1KiB", md5.sum, TEXT },
}

local function check()
	assert(crypt.hexencode(crypt.hmac64(KEY, OTHER)) == "ac9ffda9547a027a")
	assert(crypt.hexencode(crypt.dhexchange(KEY)) == "a18e89af97222f0e")
	assert(crypt.desdecode(KEY, crypt.desencode(KEY, TEXT)) == TEXT)
	assert(crypt.hexdecode(crypt.hexencode(TEXT)) == TEXT)
	assert(crypt.base64decode(crypt.base64encode(TEXT)) == TEXT)
	assert(crypt.xor_str(crypt.xor_str(TEXT, KEY), KEY) == TEXT)
	assert(md5.sumhexa "abc" == "900150983cd24fb0d6963f7d28e17f72")
end

skynet.start(function()
	check()
	for _, case in ipairs(cases) do
		local name, f, a, b = table.unpack(case)
		local best = math.huge
		for _ = 1, 5 do
			local n = 5000
			local begun = skynet.hpc()
			for _ = 1, n do f(a, b) end
			best = math.min(best, (skynet.hpc() - begun) / n)
		end
		print(("%-20s %8.0f ns"):format(name, best))
	end
	skynet.abort()
end)
