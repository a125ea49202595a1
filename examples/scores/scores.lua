-- scores: a record that one service writes and a thousand read in place, each of them woken by what is new.
--   fulmar exec examples/scores/scores.lua [READERS] [GOALS]
local skynet = require "skynet"
require "skynet.manager"
local sharemap = require "skynet.sharemap"

local role, goals = ...

-- Follows the match until it is over. What it reads is a whole version: never the goal of one team without the sum.
if role == "reader" then
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, ticket)
			local match = sharemap.reader("match", ticket)
			local seen, torn = 0, 0
			while match.goals < tonumber(goals) do
				sharemap.wait(match)
				match:update()
				seen = seen + 1
				if match.home + match.guests ~= match.goals then
					torn = torn + 1
				end
			end
			skynet.retpack(seen, torn, match.last)
		end)
	end)
	return
end

local readers = tonumber(role) or 1000
goals = tonumber(goals) or 20

skynet.start(function()
	sharemap.register(SERVICE_PATH .. "scores.sproto")
	local match = sharemap.writer("match", { goals = 0, home = 0, guests = 0, last = "" })

	local requests = skynet.request()
	for _ = 1, readers do
		requests:add { skynet.newservice(SERVICE_NAME, "reader", goals), "lua", match:copy() }
	end
	skynet.fork(function()
		for n = 1, goals do
			skynet.sleep(2)
			local team = n % 3 == 0 and "guests" or "home"
			match[team] = match[team] + 1
			match.goals, match.last = n, team
			match:commit()
		end
	end)

	local least, versions, torn = math.maxinteger, 0, 0
	for _, answer in requests:select(1000) do
		local seen, broken, last = table.unpack(answer)
		assert(last == match.last)
		least, versions, torn = math.min(least, seen), versions + seen, torn + broken
	end
	print(("%d goals, %d readers: %d versions taken, %d at least by each"):format(goals, readers, versions, least))
	print(("%d : %d in the end; %d readers saw half a goal"):format(match.home, match.guests, torn))
	skynet.abort()
end)
