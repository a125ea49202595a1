-- broadcast: packets of 1 KiB to thousands of connections, whose other ends are in another process (benches/clients/hear.rs).
-- Runs on any engine with skynet's API: `start = "broadcast"` with this folder in `luaservice`. The environment says:
--   HEAR (the client's binary), CONNECTIONS (10000), ROUNDS (100), WINDOW (16: rounds that may be on their way).
local skynet = require "skynet"
require "skynet.manager"
local socket = require "skynet.socket"

local CONNECTIONS = tonumber(os.getenv "CONNECTIONS") or 10000
local ROUNDS = tonumber(os.getenv "ROUNDS") or 100
local WINDOW = tonumber(os.getenv "WINDOW") or 16
local BYTES = 1024
local PORT = 18770

local filler = ("x"):rep(BYTES - 4)

-- One buffer to all where the engine can, otherwise one write each.
local broadcast = socket.broadcast or function(ids, packet)
	for i = 1, #ids do
		socket.write(ids[i], packet)
	end
end

skynet.start(function()
	local ids, complete = {}, coroutine.running()
	local listener = socket.listen("127.0.0.1", PORT, 4096)
	socket.start(listener, function(id)
		socket.start(id)
		ids[#ids + 1] = id
		if #ids == CONNECTIONS then
			skynet.wakeup(complete)
		end
	end)
	local client = io.popen(("%s %d %d %d %d"):format(os.getenv "HEAR", PORT, CONNECTIONS, ROUNDS, BYTES))
	skynet.wait(complete)
	table.sort(ids)	-- the client's first connection is that on which it answers

	local heard, start = 0, skynet.hpc()
	for round = 1, ROUNDS do
		while round - heard > WINDOW do
			assert(socket.read(ids[1], 1))
			heard = heard + 1
		end
		broadcast(ids, string.pack(">I4", round) .. filler)
	end
	assert(socket.read(ids[1], ROUNDS - heard))
	local elapsed = skynet.hpc() - start
	assert(client:close(), "the client has failed")

	local deliveries = CONNECTIONS * ROUNDS
	print(("BENCH broadcast.%dconn.window%d n=%d ns_per_op=%.1f ops_per_s=%.0f"):format(CONNECTIONS, WINDOW, deliveries,
		elapsed / deliveries, deliveries * 1e9 / elapsed))
	skynet.abort()
end)
