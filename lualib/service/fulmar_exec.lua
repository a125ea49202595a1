-- fulmar_exec: the first service of `fulmar exec`. Starts one script and ends the node when every service that came of it is gone.
local skynet = require "skynet"
require "skynet.manager"

local name = ...
local arguments = table.pack(select(2, ...))

local stock = {}	-- what the node itself consists of

-- What libraries start for the script: these only answer, so nobody waits for their end.
local servants = {
	["snlua service_cell datasheet"] = true,
	["snlua service_cell sharetable"] = true,
	["snlua service_provider"] = true,
	["snlua sharedatad"] = true,
}

local function is_over()
	for address, line in pairs(skynet.call(".launcher", "lua", "LIST")) do
		if not stock[address] and not servants[line] then
			return false
		end
	end
	return true
end

skynet.start(function()
	for address in pairs(skynet.call(".launcher", "lua", "LIST")) do
		stock[address] = true
	end
	stock[skynet.address(skynet.self())] = true
	local ok, err = pcall(skynet.newservice, name, table.unpack(arguments, 1, arguments.n))
	if not ok then
		if not skynet.localname ".launcher" then
			return	-- the script has ended the node before it had started
		end
		skynet.error(("cannot start %s: %s"):format(name, err))
		skynet.setenv("fulmar_exec_failed", "true")
		skynet.abort()
		return
	end
	skynet.fork(function()
		while not is_over() do
			skynet.sleep(2)
		end
		skynet.abort()
	end)
end)
