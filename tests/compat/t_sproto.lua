-- sproto beyond what the golden vectors show: schemas that services share, odd tables, Lua code that runs within an
-- encoding, tokens that stand for nothing.
local skynet = require "skynet"
local sproto = require "sproto"
local core = require "sproto.core"
local loader = require "sprotoloader"
local parser = require "sprotoparser"
local try = require "try"

local schema = [[
.package { type 0 : integer session 1 : integer ud 2 : string }
.Item { id 0 : integer name 1 : string price 2 : integer(2) tags 3 : *string }
.Pair { k 0 : string v 1 : Item }
.Bag { first 0 : Item all 1 : *Item by_id 2 : *Item(id) by_name 3 : *Pair() flags 4 : *boolean on 5 : boolean }
.Chain { next 0 : Chain n 1 : integer }
buy 1 { request { id 0 : integer } response Item }
ping 2 { response nil }
]]

if ... == "reader" then
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, place, bytes)
			skynet.retpack(loader.load(place):decode("Item", bytes))
		end)
	end)
	return
end

local function chain(n)
	local t = { n = n }
	for i = n - 1, 1, -1 do t = { n = i, next = t } end
	return t
end

try.main(function()
	local sp = sproto.parse(schema)

	try.case("a schema in a place is read by another service", function()
		loader.save(parser.parse(schema), 3)
		local reader = skynet.newservice(SERVICE_NAME, "reader")
		local item = skynet.call(reader, "lua", 3, sp:encode("Item", { id = 7, name = "axe" }))
		try.equal(item.name, "axe")
		skynet.send(reader, "debug", "EXIT")
	end)

	try.case("places have bounds, and may be empty", function()
		try.raises_at("nil sproto at index 9", loader.load, 9)
		try.raises_at("Invalid global slot index 16", loader.load, 16)
		try.raises("Invalid global slot index -1", loader.save, parser.parse ".A { a 0 : integer }", -1)
		try.raises("Can't open sproto file", loader.register, "/no/such/file", 1)
		try.raises("cut short", loader.save, "xx", 1)
		try.raises("Invalid global slot index 99", loader.save, parser.parse ".A { a 0 : integer }", 99)
	end)

	try.case("what was loaded and freed can be loaded again", function()
		core.deleteproto(core.loadproto(3))
		try.equal(loader.load(3):exist_type "Item", true)
	end)

	try.case("a stale or forged token raises, types taken before stay", function()
		local cobj = core.newproto(parser.parse ".A { a 0 : integer }")
		local type = core.querytype(cobj, "A")
		core.deleteproto(cobj)
		core.deleteproto(cobj)
		try.raises("Need a sproto object", core.querytype, cobj, "A")
		try.raises("Need a sproto object", core.protocol, cobj, 1)
		try.raises("Need a sproto object", core.saveproto, cobj, 1)
		try.raises("Need a sproto object", core.dumpproto, nil)
		try.equal(core.decode(type, core.encode(type, { a = 5 })).a, 5)
		try.raises("Need a sproto_type object", core.encode, io.stdout, {})
		try.raises("Need a sproto_type object", core.encode, 1, {})
		try.equal(getmetatable(type), false)
	end)

	try.case("schemas are freed with their objects, and many fit", function()
		for i = 1, 2000 do sproto.parse(".T" .. i .. " { a 0 : integer }"):encode("T" .. i, { a = i }) end
		collectgarbage()
	end)

	try.case("errors of a schema show the place", function()
		local err = try.raises("syntax error at [my.sproto] line (2)", parser.parse, ".A {\n\tx 0 ! integer\n}", "my.sproto")
		try.contains(err, "x 0 ! integer")
		try.contains(try.raises("Undefined type", sproto.parse, ".A { x 0 : Missing }"), "Missing")
	end)

	try.case("metamethods are honoured", function()
		local lazy = setmetatable({}, { __index = { id = 3, name = "bow" } })
		try.equal(sp:decode("Item", sp:encode("Item", lazy)).name, "bow")
		local list = setmetatable({}, { __index = function(_, i) if i <= 3 then return { id = i } end end })
		try.equal(#sp:decode("Bag", sp:encode("Bag", { all = list })).all, 3)
		local order = {}
		local map = setmetatable({}, { __pairs = function() return function(_, k)
			k = (k or 0) + 1
			if k <= 2 then return k, { id = 10 - k } end
		end end })
		local back = sp:decode("Bag", sp:encode("Bag", { by_id = map }))
		try.equal(back.by_id[9].id, 9)
		try.equal(back.by_id[8].id, 8)
	end)

	try.case("Lua code within an encoding may encode", function()
		local outer = setmetatable({}, { __index = function(_, key)
			if key == "id" then return #sp:encode("Item", { id = 100000, name = ("x"):rep(1000) }) end
			if key == "name" then return sp:encode("Item", { name = "inner" }) end
		end })
		local back = sp:decode("Item", sp:encode("Item", outer))
		try.equal(sp:decode("Item", back.name).name, "inner")
		try.yes(back.id > 1000)
	end)

	try.case("an error within an encoding leaves nothing behind", function()
		local item = { id = 1, name = "good" }
		local good = sp:encode("Item", item)
		local evil = setmetatable({}, { __index = function(_, key) if key == "name" then error "no name" end return 1 end })
		for _ = 1, 100 do
			try.raises("no name", sp.encode, sp, "Item", evil)
			try.raises("no name", sp.encode, sp, "Bag", { all = { item, evil } })
			try.equal(sp:encode("Item", item), good)
		end
	end)

	try.case("an encoding within one that failed within one keeps the outer one whole", function()
		local outer = setmetatable({}, { __index = function(_, key)
			if key == "name" then
				pcall(sp.encode, sp, "Item", setmetatable({}, { __index = function() error "x" end }))
				return "kept"
			end
			if key == "id" then return 9 end
		end })
		try.equal(sp:decode("Item", sp:encode("Item", outer)).name, "kept")
	end)

	try.case("wrong values are named with field, expected and actual type", function()
		try.raises_at("Item.id[0] is not an integer (Is a string)", sp.encode, sp, "Item", { id = "x" })
		try.raises("Item.id[0] is not an integer (Is a number)", sp.encode, sp, "Item", { id = 1.5 })
		try.raises("Item.tags[2] is not a string (Is a number)", sp.encode, sp, "Item", { tags = { "a", 2 } })
		try.raises("Bag.all(1) should be a table", sp.encode, sp, "Bag", { all = 1 })
		try.raises("Bag.flags[1] is not a boolean (Is a string)", sp.encode, sp, "Bag", { flags = { "yes" } })
		try.raises("attempt to index a number value", sp.encode, sp, "Bag", { first = 1 })
		try.raises("Bag.by_id(1) should be a table", sp.encode, sp, "Bag", { by_id = io.stdout })
	end)

	try.case("64 levels are deep enough, 65 are not", function()
		try.equal(sp:decode("Chain", sp:encode("Chain", chain(64))).n, 1)
		try.raises("The table is too deep", sp.encode, sp, "Chain", chain(65))
		local loop = {}
		loop.next = loop
		try.raises("The table is too deep", sp.encode, sp, "Chain", loop)
	end)

	try.case("a slim branch beside a wide one gets a stack of its own size", function()
		local text = { ".N { left 0 : N kids 1 : *N" }
		for i = 2, 15 do text[#text + 1] = ("f%d %d : integer"):format(i, i) end
		local nodes = sproto.parse(table.concat(text, " ") .. " }")
		local function node(deeper)
			local t = {}
			for i = 2, 15 do t["f" .. i] = i end
			if deeper then deeper(t) end
			return t
		end
		local slim, wide = {}, node()
		for _ = 1, 61 do slim = { left = slim } end
		for _ = 1, 61 do
			local below = wide
			wide = node(function(t) t.left, t.kids = {}, { {}, below } end)
		end
		local value = { left = slim, kids = { slim, wide } }
		-- in a coroutine of its own: its stack is as small as stacks are
		local bytes = coroutine.wrap(function() return nodes:encode("N", value) end)()
		local back = nodes:decode("N", bytes)
		for _ = 1, 61 do back = back.kids[2] end
		try.equal(back.f15, 15)
	end)

	try.case("a finalizer that uses a type which is gone is refused, and nothing worse", function()
		local said = {}
		local function leave()
			local late = {}
			setmetatable(late, { __gc = function(self)
				local ok, err = pcall(core.encode, self.type, { id = 1 })
				said[#said + 1] = ok or err
			end })
			local cobj = core.newproto(parser.parse ".G { id 0 : integer }")
			late.type = core.querytype(cobj, "G")
			core.deleteproto(cobj)
		end
		for _ = 1, 20 do leave() end
		collectgarbage() collectgarbage()
		try.equal(#said, 20)
		for _, text in ipairs(said) do
			if text ~= true then try.contains(text, "Need a sproto_type object") end
		end
		local type = core.querytype(sp.__cobj, "Item")
		local collect = debug.getmetatable(type).__gc
		collect(type) collect(type) collect(io.stdout)
		try.raises("Need a sproto_type object", core.encode, type, { id = 1 })
	end)

	try.case("a table that never ends is refused", function()
		local endless = setmetatable({}, { __index = function() return "more" end })
		try.raises("object is too large", sp.encode, sp, "Item", { tags = endless })
	end)

	try.case("a given table is filled, its metamethods run", function()
		local seen = {}
		local into = setmetatable({ old = 1 }, { __newindex = function(_, k, v) seen[k] = v end })
		local bytes = sp:encode("Item", { id = 4, name = "n" })
		try.equal(sp:decode("Item", bytes, #bytes, into), into)
		try.equal(seen.id, 4)
		try.equal(into.old, 1)
		try.equal(sp:decode("Item", bytes, {}).name, "n")
	end)

	try.case("messages are read out of blocks and userdata", function()
		local bytes = sp:encode("Item", { id = 11 })
		local pointer, size = skynet.pack(bytes)
		try.raises("decode error", sp.decode, sp, "Item", pointer, 1)
		local packed = sproto.pack(pointer, size)
		try.equal(sproto.unpack(packed):sub(1, size), skynet.tostring(pointer, size))
		skynet.trash(pointer, size)
		try.raises("", sp.decode, sp, "Item", pointer, size)
		try.raises("Need a string or userdata", sp.decode, sp, "Item", 12)
	end)

	try.case("damaged messages raise an error that says where", function()
		local bytes = sp:encode("Bag", { first = { id = 1, name = "abc" }, on = true })
		for len = 0, #bytes - 1 do try.raises("decode error", sp.decode, sp, "Bag", bytes:sub(1, len)) end
		local err = try.raises("decode error", sp.decode, sp, "Item", "\2\0\0\0\6\0\3\0\0\0abc")
		try.contains(err, "Item.id")
		try.raises("Invalid unpack stream", sproto.unpack, "\255")
	end)

	try.case("a call without content, answered without content", function()
		local server, client = sp:host(), sp:host()
		local kind, name, args, response = server:dispatch(client:attach(sp)("ping", nil, 1))
		try.values({ "REQUEST", "ping", nil, n = 3 }, kind, name, args)
		try.raises("nil expected, got table", response, {})
		try.values({ "RESPONSE", 1, nil, nil, n = 4 }, client:dispatch(response()))
		try.raises("Unknown session", client.dispatch, client, response())
	end)

	try.case("zero values", function()
		local zero = sp:default "Bag"
		try.equal(zero.first.__type, "Item")
		try.equal(zero.all.__array, "Item")
		try.equal(zero.on, false)
		try.equal(math.type(sp:default("Item").price), "float")
		try.equal(sp:default("buy", "REQUEST").id, 0)
		try.equal(sp:default("ping", "REQUEST"), nil)
		try.raises("Invalid type", sp.default, sp, "buy", "OTHER")
	end)

	try.case("the zero values of the golden vectors", function()
		local vectors = skynet.getenv "suite" .. "../vectors/"
		local json = assert(loadfile(vectors .. "json.lua"))()
		local file <close> = assert(io.open(vectors .. "sproto.json"))
		local function unhex(s) return (s:gsub("%x%x", function(c) return string.char(tonumber(c, 16)) end)) end
		local function untag(v)
			if type(v) ~= "table" then return v end
			if v.i then return math.tointeger(tonumber(v.i)) end
			if v.f then return (string.unpack(">d", unhex(v.f))) end
			if v.s then return unhex(v.s) end
			local t = {}
			for _, pair in ipairs(v.m) do t[untag(pair[1])] = untag(pair[2]) end
			return t
		end
		local function same(got, want, what)
			if type(want) ~= "table" then return try.equal(got, want, what) end
			for key, value in pairs(want) do same(got[key], value, what .. "." .. key) end
			for key in pairs(got) do try.yes(want[key] ~= nil, what .. "." .. key) end
		end
		local cases = 0
		for _, schema in ipairs(json.decode(file:read "a").schemas) do
			local parsed = sproto.parse(schema.text)
			for _, case in ipairs(schema.defaults or {}) do
				same(parsed:default(case.type), untag(case.value), case.type)
				cases = cases + 1
			end
		end
		try.equal(cases, 57)
	end)
end)
