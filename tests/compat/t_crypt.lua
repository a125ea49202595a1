-- skynet.crypt and md5 beyond the golden vectors: error texts, the dialogues they are made for, md5's cipher.
local skynet = require "skynet"
local crypt = require "skynet.crypt"
local md5 = require "md5"
local json = require "json"
local try = require "try"

local hex = crypt.hexencode
local function unhex(s) return (s:gsub("%x%x", function(c) return string.char(tonumber(c, 16)) end)) end

local function fold(key)
	local folded = 0
	for _, byte in ipairs { key:byte(1, -1) } do folded = folded ~ byte end
	return folded
end

local vectors
do
	local f = assert(io.open(skynet.getenv "suite" .. "../vectors/crypt.json"))
	vectors = json.decode(f:read "a").cases
	f:close()
end

try.main(function()
	try.case("every golden value, and every error text", function()
		local count = 0
		for _, v in ipairs(vectors) do
			local f = crypt[v.fn]
			if f then
				local args = {}
				for i, a in ipairs(v.args) do args[i] = type(a) == "string" and unhex(a) or a end
				if v.error then
					try.raises(v.error, f, table.unpack(args))
				else
					try.equal(hex(f(table.unpack(args))), v.result, v.fn)
				end
				count = count + 1
			end
		end
		try.yes(count > 200, "the vectors are there")
	end)

	try.case("the lines of a login", function()
		for _, v in ipairs(vectors) do
			if v.fn == "login_dialogue" then
				local a = {}
				for k, s in pairs(v.args) do a[k] = unhex(s) end
				local b64 = crypt.base64encode
				local client_key, server_key = crypt.dhexchange(a.client_private), crypt.dhexchange(a.server_private)
				local secret = crypt.dhsecret(server_key, a.client_private)
				local token = ("%s@%s:%s"):format(b64(a.user), b64(a.server), b64(a.password))
				try.equal(b64(a.challenge), v.result.challenge_line)
				try.equal(b64(client_key), v.result.client_key_line)
				try.equal(b64(server_key), v.result.server_key_line)
				try.equal(crypt.dhsecret(client_key, a.server_private), secret)
				try.equal(hex(secret), v.result.secret)
				try.equal(b64(crypt.hmac64(a.challenge, secret)), v.result.hmac_line)
				try.equal(token, v.result.token)
				try.equal(b64(crypt.desencode(secret, token)), v.result.etoken_line)
			end
		end
	end)

	try.case("the first frame to a message server", function()
		for _, v in ipairs(vectors) do
			if v.fn == "msgserver_handshake" then
				local a, b64 = v.args, crypt.base64encode
				local name = ("%s@%s#%s:%d"):format(b64(unhex(a.uid)), b64(unhex(a.server)), b64(unhex(a.subid)), a.index)
				local mac = crypt.hmac64(crypt.hashkey(name), unhex(a.secret))
				try.equal(mac, crypt.hmac_hash(unhex(a.secret), name))
				try.equal(hex(string.pack(">s2", name .. ":" .. b64(mac))), v.result)
			end
		end
	end)

	try.case("random keys differ", function()
		local seen = {}
		for _ = 1, 2000 do
			local key = crypt.randomkey()
			try.equal(#key, 8)
			try.no(seen[key], "a key twice")
			seen[key] = true
			try.yes(not try.on_fulmar or fold(key) ~= 0, "the exclusive or of all bytes")
		end
	end)

	try.case("long texts come back whole", function()
		local text = ("a long text \0\255"):rep(100000)
		try.yes(crypt.hexdecode(crypt.hexencode(text)) == text)
		try.yes(crypt.base64decode(crypt.base64encode(text)) == text)
		try.yes(crypt.xor_str(crypt.xor_str(text, "key"), "key") == text)
		for _, padding in pairs(crypt.padding) do
			try.yes(crypt.desdecode("12345678", crypt.desencode("12345678", text, padding), padding) == text)
		end
	end)

	try.case("arguments of a wrong type are named", function()
		for _, name in ipairs { "hashkey", "hexencode", "hexdecode", "base64encode", "base64decode", "sha1", "dhexchange" } do
			try.raises("#1", crypt[name])
			try.raises("string expected, got table", crypt[name], {})
		end
		for _, name in ipairs { "hmac_sha1", "xor_str", "desencode", "desdecode", "hmac64", "hmac_hash", "dhsecret" } do
			try.raises("#2", crypt[name], "12345678", {})
		end
		try.raises("Invalid uint64 y", crypt.hmac64, "12345678", "short")
		try.raises("Invalid uint64 y", crypt.hmac64_md5, "12345678", "much too long")
		try.raises("Invalid uint64 key", crypt.hmac_hash, "short", "text")
		try.raises("Can't be 0", crypt.dhsecret, "12345678", ("\0"):rep(8))
		try.raises("Invalid padding mode -1", crypt.desencode, "12345678", "x", -1)
		try.raises("Invalid hex text size 1", crypt.hexdecode, "g")
	end)

	try.case("a number is its digits", function()
		try.equal(crypt.sha1(12), crypt.sha1 "12")
		try.equal(md5.sum(1), md5.sum "1")
	end)

	try.case("md5: one module by two names", function()
		try.yes(require "md5.core" == md5)
	end)

	try.case("md5: the cipher", function()
		try.equal(hex(md5.crypt("msg", "key", "seed")), "0473656564c2962e")
		try.equal(hex(md5.sum(md5.crypt(("x"):rep(70), "key", "seed"))), "c1ce841630ec78120b346dd9e1558125")
		try.equal(hex(md5.crypt("msg", "key", "")), "0039528f")
		try.equal(hex(md5.crypt("msg", "", "s")), "0173974c96")
		try.equal(hex(md5.crypt("", "k", "s")), "0173")
		local text = ("a text "):rep(20)
		local coded = md5.crypt(text, "key")
		try.equal(md5.decrypt(coded, "key"), text)
		try.yes(md5.decrypt(coded, "other key") ~= text)
	end)

	try.case("md5: what cannot be", function()
		try.raises("lengths must be equal", md5.exor, "abc", "ab")
		try.equal(md5.exor("", ""), "")
		try.raises("key too long (> 256)", md5.crypt, "x", ("k"):rep(257), "s")
		try.raises("seed too long (> 16)", md5.crypt, "x", "k", ("s"):rep(17))
		for _, bad in ipairs { "", "\1", "\4abc", "\200abc", "\17" .. ("s"):rep(17) } do
			try.raises("invalid cyphered string", md5.decrypt, bad, "key")
		end
		try.equal(md5.decrypt("\3abc", "key"), "")
	end)
end)
