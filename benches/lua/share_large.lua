-- share_large: an image of a gibibyte, read by thousands of services, patched under them.
--   KEEP=1 cargo run --release -p fulmar-sharedata --example large
--   fulmar exec benches/lua/share_large.lua IMAGE [READERS]
local skynet = require "skynet"
require "skynet.manager"
local sharedata = require "skynet.sharedata"

local mode, count = ...

if mode == "reader" then
	local obj
	skynet.start(function()
		obj = sharedata.query "large"
		local seen = obj.item77.price
		skynet.dispatch("lua", function(_, _, price)
			while obj.item77.price ~= price do skynet.sleep(1) end
			skynet.retpack(seen)
		end)
	end)
	return
end

local function resident_mib()
	local f <close> = assert(io.open "/proc/self/status")
	return tonumber(f:read "a":match "VmRSS:%s*(%d+)") / 1024
end

skynet.start(function()
	local readers = {}
	count = tonumber(count) or 5000
	local t0 = skynet.hpc()
	sharedata.load("large", mode)
	print(("published after %.2f ms"):format((skynet.hpc() - t0) / 1e6))
	local price <const> = sharedata.deepcopy("large", "item77", "price")
	for i = 1, count do readers[i] = skynet.newservice(SERVICE_NAME, "reader") end
	for _, reader in ipairs(readers) do skynet.call(reader, "lua", price) end	-- each has handled a message
	print(("%d readers, resident %.0f MiB"):format(count, resident_mib()))
	local before, times, all = resident_mib(), {}, {}
	for n = 1, 100 do
		t0 = skynet.hpc()
		sharedata.patch("large", { "item77", "price" }, n)
		assert(sharedata.deepcopy("large", "item77", "price") == n)
		times[n] = skynet.hpc() - t0
		if n % 10 == 0 then
			for _, reader in ipairs(readers) do skynet.call(reader, "lua", n) end
			all[#all + 1] = skynet.hpc() - t0
		else
			skynet.sleep(2)
		end
	end
	table.sort(times)
	table.sort(all)
	print(("patch to fresh query: median %.0f us, 95 of 100 in %.0f us, most %.0f us"):format(times[50] / 1e3, times[95] / 1e3,
		times[100] / 1e3))
	print(("patch until the last of %d readers has read it (and been asked): median %.0f ms"):format(count, all[5] / 1e6))
	print(("resident %.0f MiB before, %.0f MiB after 100 patches"):format(before, resident_mib()))
	skynet.abort()
end)
