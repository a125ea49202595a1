-- share_readers: a large table that many services read, changed under them; the same program on any engine with skynet's API.
--   ROWS=50000 READERS=200 BENCH=benches/lua tests/bench/compare -n 3 skynet=... fulmar=... share_readers
-- `update` hands the whole table over again; `patch`, where sharedata has it, says what has changed.
local skynet = require "skynet"
require "skynet.manager"
local sharedata = require "skynet.sharedata"
local sharetable = require "skynet.sharetable"

local mode = ...
local ROWS <const> = tonumber(os.getenv "ROWS") or 50000
local READERS <const> = tonumber(os.getenv "READERS") or 200
local READS <const> = 1000	-- rows that each reader looks at

if mode == "reader" then
	local command = {}
	local obj

	local function read(t)
		collectgarbage()
		local before, sum = collectgarbage "count", 0
		for i = 1, READS do
			sum = sum + t["item" .. i].id
		end
		assert(sum == READS * (READS + 1) // 2)
		collectgarbage()
		return collectgarbage "count" - before
	end

	function command.sharedata()
		obj = sharedata.query "big"
		return read(obj)
	end

	function command.sharetable()
		obj = sharetable.query "big"
		return read(obj)
	end

	function command.see_sharedata(price)
		while obj.item77.price ~= price do
			skynet.sleep(1)
		end
	end

	function command.see_sharetable(price)
		obj = sharetable.query "big"
		assert(obj.item77.price == price)
	end

	skynet.start(function()
		skynet.dispatch("lua", function(_, _, name, ...)
			skynet.retpack(command[name](...))
		end)
	end)
	return
end

local function resident_kib()
	local f <close> = assert(io.open "/proc/self/status")
	return tonumber(f:read "a":match "VmRSS:%s*(%d+)")
end

local function report(name, ns)
	skynet.error(("BENCH %s n=1 ns_per_op=%.1f"):format(name, ns))
end

local function timed(name, f, ...)
	local start <const> = skynet.hpc()
	f(...)
	report(name, skynet.hpc() - start)
end

local function all(readers, ...)
	local sum = 0
	for _, reader in ipairs(readers) do
		sum = sum + (skynet.call(reader, "lua", ...) or 0)
	end
	return sum
end

skynet.start(function()
	local big = {}
	for i = 1, ROWS do
		big["item" .. i] = { id = i, name = "item-" .. i, price = i * 1.5, tags = { "a", "b", i }, on = i % 2 == 0 }
	end
	local readers = {}
	for i = 1, READERS do
		readers[i] = skynet.newservice(SERVICE_NAME, "reader")
	end
	local last = 0
	-- change(price) publishes a row's new price; a fresh look must see it.
	local function changes(kind, name, times, change)
		local fresh, everybody = 0, 0
		for _ = 1, times do
			last = last - 1	-- a price that nobody has seen
			local start <const> = skynet.hpc()
			change(last)
			fresh = fresh + skynet.hpc() - start
			all(readers, "see_" .. kind, last)
			everybody = everybody + skynet.hpc() - start
		end
		report(("%s.%s"):format(kind, name), fresh / times)
		report(("%s.%s_all_readers"):format(kind, name), everybody / times)
	end

	timed("sharedata.new", sharedata.new, "big", big)
	local kib, before = all(readers, "sharedata"), resident_kib()
	skynet.error(("BENCH sharedata.reader luaKB_per_reader=%.1f"):format(kib / READERS))
	changes("sharedata", "update", 3, function(price)
		big.item77.price = price
		sharedata.update("big", big)
		assert(sharedata.deepcopy("big", "item77", "price") == price)
	end)
	if sharedata.patch then
		changes("sharedata", "patch", 20, function(price)
			sharedata.patch("big", { "item77", "price" }, price)
			assert(sharedata.deepcopy("big", "item77", "price") == price)
		end)
	end
	skynet.error(("BENCH sharedata.resident grown_KB=%d"):format(resident_kib() - before))
	sharedata.delete "big"

	timed("sharetable.loadtable", sharetable.loadtable, "big", big)
	kib, before = all(readers, "sharetable"), resident_kib()
	skynet.error(("BENCH sharetable.reader luaKB_per_reader=%.1f"):format(kib / READERS))
	changes("sharetable", "load_again", 3, function(price)
		big.item77.price = price
		sharetable.loadtable("big", big)
		assert(sharetable.query "big".item77.price == price)
	end)
	skynet.error(("BENCH sharetable.resident grown_KB=%d"):format(resident_kib() - before))
	skynet.abort()
end)
