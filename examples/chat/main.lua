-- main: starts the services of the chat and says how to talk to it.
local skynet = require "skynet"
local sharedata = require "skynet.sharedata"

local ADDRESS, PORT = "127.0.0.1", 8888

skynet.start(function()
	sharedata.new("chat", require "settings")
	local watchdog = skynet.newservice "watchdog"
	local address, port = skynet.call(watchdog, "lua", "open", ADDRESS, math.tointeger(skynet.getenv "chat_port") or PORT)
	print(("The chat is open at %s:%d. In another terminal:"):format(address, port))
	print(("  cargo run --release -- exec --log /dev/null examples/chat/client.lua ann lobby %s:%d"):format(address, port))
	io.stdout:flush()
	skynet.exit()
end)
