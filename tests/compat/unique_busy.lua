-- unique_busy: works for a while without answering anybody.
local skynet = require "skynet"
skynet.start(function()
	skynet.dispatch("lua", function(_, _, cmd)
		if cmd == "work" then
			local x = 0
			for i = 1, 50000000 do x = x + i % 7 end
		else
			skynet.retpack(true)
		end
	end)
end)
