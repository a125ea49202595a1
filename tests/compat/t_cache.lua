-- The code cache and its modes; skynet.profile; skynet.memory.
local skynet = require "skynet"
local codecache = require "skynet.codecache"
local profile = require "skynet.profile"
local memory = require "skynet.memory"
local try = require "try"

local files = 0
local function file(text)
	files = files + 1
	local name = ("./cached_%d.lua"):format(files)
	local f = assert(io.open(name, "w"))
	f:write(text)
	f:close()
	return name
end

local function rewrite(name, text)
	local f = assert(io.open(name, "w"))
	f:write(text)
	f:close()
end

try.main(function()
	try.case("ON: the first load decides, until clear", function()
		try.equal(codecache.mode(), "ON")
		local name = file "return 1, ..."
		try.values({ 1, "arg" }, loadfile(name)("arg"))
		rewrite(name, "return 2")
		try.equal(loadfile(name)(), 1)
		try.equal(dofile and loadfile(name)(), 1)
		codecache.clear()
		try.equal(loadfile(name)(), 2)
	end)

	try.case("OFF: past the cache, both ways", function()
		codecache.mode "OFF"
		try.equal(codecache.mode(), "OFF")
		local name = file "return 1"
		try.equal(loadfile(name)(), 1)
		rewrite(name, "return 2")
		try.equal(loadfile(name)(), 2)
		codecache.mode "ON"
		rewrite(name, "return 3")
		try.equal(loadfile(name)(), 3)
	end)

	try.case("EXIST: what is there is used, nothing is added", function()
		local known, new = file "return 'old'", file "return 1"
		loadfile(known)
		rewrite(known, "return 'new'")
		codecache.mode "EXIST"
		try.equal(loadfile(known)(), "old")
		try.equal(loadfile(new)(), 1)
		rewrite(new, "return 2")
		try.equal(loadfile(new)(), 2)
		codecache.mode "ON"
	end)

	try.case("an invalid mode, an equal function", function()
		try.raises_at("invalid option 'MAYBE'", function() codecache.mode "MAYBE" end)
		try.equal(codecache.loadfile, loadfile)
		try.equal(skynet.cache, codecache)
	end)

	try.case("loadfile: errors, environments, two functions do not share", function()
		local f, err = loadfile "./no_such_file.lua"
		try.equal(f, nil)
		try.contains(err, "no_such_file.lua")
		f, err = loadfile(file "return +")
		try.equal(f, nil)
		try.contains(err, ":1:")
		local name = file "local n = 0 return function() n = n + 1 return n, x end"
		local a, b = loadfile(name, "t", { x = "mine" })(), loadfile(name, "t", { x = "yours" })()
		try.values({ 1, "mine" }, a())
		try.values({ 2, "mine" }, a())
		try.values({ 1, "yours" }, b())
		try.equal(loadfile(file "x = 1", "b"), nil)
	end)

	try.case("debug information stays", function()
		local f = loadfile(file "local a = 1\nlocal b = 2\nerror 'on line three'")
		local ok, err = pcall(f)
		try.equal(ok, false)
		try.matches(err, "cached_%d+%.lua:3: on line three")
	end)

	try.case("profile: its errors, and time that only grows while the coroutine runs", function()
		local co = coroutine.running()
		profile.start()
		try.raises_at("start profile more than once", function() profile.start() end)
		local x = 0
		for i = 1, 1000000 do x = x + i end
		skynet.sleep(1)
		local spent = profile.stop()
		try.equal(math.type(spent), "float")
		try.yes(spent >= 0)
		try.raises_at("Call profile.start() before profile.stop()", function() profile.stop() end)
		try.raises_at("Call profile.start() before profile.stop()", function() profile.stop(co) end)
		try.equal(coroutine.resume, profile.resume)
		try.equal(coroutine.wrap, profile.wrap)
	end)

	try.case("memory: figures of the node", function()
		try.equal(math.type(memory.total()), "integer")
		try.equal(math.type(memory.block()), "integer")
		try.equal(math.type(memory.current()), "integer")
		for handle, bytes in pairs(memory.info()) do
			try.equal(math.type(handle), "integer")
			try.equal(math.type(bytes), "integer")
		end
		try.equal(type(memory.jestat()), "table")
		try.equal(math.type(memory.mallctl "stats.allocated"), "integer")
		try.equal(memory.profactive(), false)
		local log = try.log()
		memory.dump()
		try.until_true(function() return log.find "total" end)
	end)
end)
