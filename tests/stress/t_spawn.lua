-- Services are started, called and ended in every way, all at once. Every call is answered or fails; nothing stays behind.
local skynet = require "skynet"
require "skynet.manager"
local census = require "census"
local try = require "try"

local SCALE = tonumber(os.getenv "SCALE")

local roles = {}
function roles.server()
	skynet.start(function()
		skynet.dispatch("lua", function(_, source, cmd, ...)
			if cmd == "exit" then skynet.exit() end
			if cmd == "wait" then skynet.wait() end
			if cmd == "keep" then KEPT = skynet.response() return end
			if cmd == "error" then error "asked to" end
			if cmd == "nap" then skynet.sleep(math.random(0, 3)) end
			skynet.retpack(cmd, ...)
		end)
	end)
end
if try.role(roles, ...) then return end

try.limit(5500)
try.main(function()
	math.randomseed(2026)
	try.case("storm", function()
		local ends = {
			function(s) skynet.kill(s) end,
			function(s) skynet.send(s, "debug", "EXIT") end,
			function(s) pcall(skynet.call, s, "lua", "exit") end,
			function(s) skynet.call(".launcher", "lua", "KILL", s) end,
			function(s) skynet.kill(skynet.address(s)) end,
		}
		local commands = { "wait", "keep", "error", "nap", "echo", "echo", "echo" }
		census.steady(10 * SCALE, function()
			local left, token = 0, {}
			for _ = 1, 30 do
				left = left + 1
				skynet.fork(function()
					local s = try.start "server"
					skynet.name(".storm" .. math.random(1, 10), s)
					for i = 1, 10 do
						left = left + 1
						skynet.fork(function()
							local cmd = commands[math.random(#commands)]
							local ok, back, n = pcall(skynet.call, s, "lua", cmd, i, ("x"):rep(math.random(0, 3000)))
							if ok then assert(back == cmd and n == i) end
							left = left - 1
							if left == 0 then skynet.wakeup(token) end
						end)
					end
					if math.random(2) == 1 then skynet.sleep(math.random(0, 2)) end
					ends[math.random(#ends)](s)
					left = left - 1
					if left == 0 then skynet.wakeup(token) end
				end)
			end
			skynet.wait(token)
		end)
	end)
end)
