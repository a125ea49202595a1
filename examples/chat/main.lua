-- main: starts the services of the chat and says how to talk to it.
local skynet = require "skynet"
local settings = require "settings"

skynet.start(function()
	local watchdog = skynet.newservice "watchdog"
	local address, port = skynet.call(watchdog, "lua", "open", settings.address, settings.port)
	print(("The chat is open at %s:%d. In another terminal:"):format(address, port))
	print(("  cargo run --release -- exec --log /dev/null examples/chat/client.lua ann lobby %s:%d"):format(address, port))
	io.stdout:flush()
	skynet.exit()
end)
