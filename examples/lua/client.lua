-- client: does 40 transfers that depend on its number alone, with a short rest now and then.
local skynet = require "skynet"

local number = math.tointeger(...)

local function run(owners)
	local bank = skynet.queryservice "bank"
	local done = 0
	for i = 1, 50 do
		local from = owners[(number + i) % #owners + 1]
		local to = owners[(number + 2 * i) % #owners + 1]
		local amount = 2 * ((number + i) % #owners) + number
		if from ~= to and skynet.call(bank, "lua", "transfer", from, to, amount) then
			done = done + 1
		end
		if i % 10 == 0 then
			skynet.sleep(1)
		end
	end
	return done
end

skynet.start(function()
	skynet.dispatch("lua", function(_, _, _, owners)
		skynet.retpack(run(owners))
	end)
end)
