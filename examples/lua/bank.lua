-- bank: moves money between accounts and audits itself while it does. A transfer is two calls to other services, so
-- everything that must not see one half done goes through a critical section.
local skynet = require "skynet"
local queue = require "skynet.queue"

local accounts = {}	-- owner -> the service that keeps the account
local opened_with = 0
local transfers, audits_failed = 0, 0
local in_turn = queue()
local command = {}

-- Asks all accounts at once.
local function count()
	local requests = skynet.request()
	for owner, account in pairs(accounts) do
		requests:add { account, "lua", "balance", owner = owner }
	end
	local balances, total = {}, 0
	for request, answer in requests:select() do
		balances[request.owner] = answer[1]
		total = total + answer[1]
	end
	return balances, total
end

local function audit()
	local balances, total = in_turn(count)
	if total ~= opened_with then
		audits_failed = audits_failed + 1
	end
	return balances, total
end

local function move(from, to, amount)
	local taken = skynet.call(accounts[from], "lua", "take", amount)
	if taken then
		skynet.call(accounts[to], "lua", "put", amount)
	end
	return taken
end

function command.open(owner, amount)
	accounts[owner] = skynet.newservice("account", amount)
	opened_with = opened_with + amount
end

function command.transfer(from, to, amount)
	transfers = transfers + 1
	if transfers % 10 == 0 then
		skynet.fork(audit)	-- begins when this transfer waits for its first answer
	end
	return in_turn(move, from, to, amount)
end

function command.close()
	local balances, total = audit()
	return balances, total, audits_failed
end

skynet.start(function()
	skynet.dispatch("lua", function(_, _, name, ...)
		skynet.retpack(command[name](...))
	end)
end)
