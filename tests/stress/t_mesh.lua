-- A mesh of services that call each other at random, some through others, with payloads that are checked at every stop.
local skynet = require "skynet"
local try = require "try"

local SCALE = tonumber(os.getenv "SCALE")
local SERVICES, CLIENTS, CALLS = 12, 8, 300 * SCALE

local roles = {}
function roles.node()
	local others
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, cmd, hops, payload, sum)
			if cmd == "others" then
				others = hops
				skynet.retpack()
				return
			end
			local n = 0
			for i = 1, #payload, 97 do n = n + payload:byte(i) end
			assert(n == sum, "the payload has changed")
			if hops == 0 then
				skynet.retpack(payload, { sum, nested = { payload:sub(1, 10) } })
			elseif hops % 3 == 0 then
				skynet.ret(skynet.rawcall(others[math.random(#others)], "lua", skynet.pack("pass", hops - 1, payload, sum)))
			else
				skynet.retpack(skynet.call(others[math.random(#others)], "lua", "pass", hops - 1, payload, sum))
			end
		end)
	end)
end
if try.role(roles, ...) then return end

try.limit(5500)
try.main(function()
	math.randomseed(2026)
	try.case("every payload arrives as it was sent", function()
		local nodes = {}
		for i = 1, SERVICES do nodes[i] = try.start "node" end
		for i = 1, SERVICES do skynet.call(nodes[i], "lua", "others", nodes) end
		local results = {}
		for c = 1, CLIENTS do
			results[c] = try.later(function()
				for i = 1, CALLS do
					local payload = string.char(math.random(32, 126)):rep(math.random(0, i % 10 == 0 and 100000 or 2000)) .. i
					local sum = 0
					for k = 1, #payload, 97 do sum = sum + payload:byte(k) end
					local back, more = skynet.call(nodes[math.random(SERVICES)], "lua", "pass", math.random(0, 6), payload, sum)
					assert(back == payload and more[1] == sum and more.nested[1] == payload:sub(1, 10))
				end
				return "done"
			end)
		end
		for c = 1, CLIENTS do try.values({ true, "done" }, results[c]()) end
	end)
end)
