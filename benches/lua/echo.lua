-- echo: 64 bytes there and back on many connections at full rate, whose other ends are in another process
-- (benches/clients/ask.rs). Runs on any engine with skynet's API: `start = "echo"` with this folder in `luaservice`.
-- The environment says: ASK (the client's binary), CONNECTIONS (200), QUESTIONS (400000), PAUSE (0; with one the clients ask all at
-- once, and again that many microseconds after the last answer), BUSY (0: services that compute all the time).
local skynet = require "skynet"
require "skynet.manager"
local socket = require "skynet.socket"

local CONNECTIONS = tonumber(os.getenv "CONNECTIONS") or 200
local QUESTIONS = tonumber(os.getenv "QUESTIONS") or 400000
local PAUSE = tonumber(os.getenv "PAUSE") or 0
local BUSY = tonumber(os.getenv "BUSY") or 0
local PORT = 18771

local mode, starter = ...

if mode == "agent" then
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, id)
			socket.start(id)
			while true do
				local asked = socket.read(id)
				if not asked then
					break
				end
				socket.write(id, asked)
			end
			socket.close(id)
			skynet.send(tonumber(starter), "lua")
		end)
	end)
	return
end

if mode == "busy" then
	skynet.start(function()
		skynet.fork(function()
			while true do
				local sum = 0
				for i = 1, 2000000 do
					sum = sum + i % 7
				end
				skynet.yield()
			end
		end)
	end)
	return
end

skynet.start(function()
	for _ = 1, BUSY do
		skynet.newservice(SERVICE_NAME, "busy")
	end
	local agents = {}
	for i = 1, 4 do
		agents[i] = skynet.newservice(SERVICE_NAME, "agent", skynet.self())
	end
	local accepted, closed, complete = 0, 0, coroutine.running()
	skynet.dispatch("lua", function()
		closed = closed + 1
		if closed == CONNECTIONS then
			skynet.wakeup(complete)
		end
	end)
	local listener = socket.listen("127.0.0.1", PORT, 4096)
	socket.start(listener, function(id)
		accepted = accepted + 1
		skynet.send(agents[accepted % #agents + 1], "lua", id)
	end)
	local client = io.popen(("%s %d %d %d 64 %d"):format(os.getenv "ASK", PORT, CONNECTIONS, QUESTIONS, PAUSE))
	skynet.wait(complete)
	print(client:read "a")
	assert(client:close(), "the client has failed")
	skynet.abort()
end)
