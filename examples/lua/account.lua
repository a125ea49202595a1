-- account: one account, a service of its own.
local skynet = require "skynet"

local balance = math.tointeger(...)	-- arguments of a service arrive as strings
local command = {}

function command.balance()
	return balance
end

function command.put(amount)
	balance = balance + amount
end

-- Is there enough?
function command.take(amount)
	if amount > balance then
		return false
	end
	balance = balance - amount
	return true
end

skynet.start(function()
	skynet.dispatch("lua", function(_, _, name, ...)
		skynet.retpack(command[name](...))
	end)
end)
