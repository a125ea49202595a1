-- main: opens the accounts, lets the clients do their transfers side by side, and prints what came of it.
local skynet = require "skynet"
require "skynet.manager"

local owners = { "ada", "bob", "cid", "dot", "eve" }
local clients = 4

local function give_up()
	print "the bank has taken too long"
	skynet.abort()
end

skynet.start(function()
	skynet.timeout(1000, give_up)

	local bank = skynet.uniqueservice "bank"
	for _, owner in ipairs(owners) do
		skynet.call(bank, "lua", "open", owner, 1000)
	end

	local work = skynet.request()
	for i = 1, clients do
		work:add { skynet.newservice("client", i), "lua", "run", owners }
	end
	local transfers = 0
	for _, answer in work:select() do
		transfers = transfers + answer[1]
	end

	local balances, total, audits_failed = skynet.call(bank, "lua", "close")
	print(("%d accounts, %d clients, %d transfers"):format(#owners, clients, transfers))
	for _, owner in ipairs(owners) do
		print(("  %-8s %4d"):format(owner, balances[owner]))
	end
	print(("  %-8s %4d"):format("together", total))
	print(("%d audits saw a wrong sum"):format(audits_failed))
	io.stdout:flush()
	skynet.abort()
end)
