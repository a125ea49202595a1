-- skynet.datasheet: reading the sheets that a service owns through skynet.datasheet.builder.
local skynet = require "skynet"
local service = require "skynet.service"
local tables = require "fulmar.tables"
local new_follow = require "fulmar.follow"

-- A table that is read in place is empty to the eyes of Lua's own next.
next = tables.next

local datasheet = {}

local address
skynet.init(function()
	address = service.query "datasheet"	-- waits for a service that requires the builder
end)

local follow = new_follow("datasheet/", function(name, version)
	return skynet.call(address, "lua", "monitor", name, version)
end)

local failed = {}	-- name -> the error of its first query

local function ask(name)
	local ok, err = pcall(skynet.call, address, "lua", "query", name)
	if not ok then
		failed[name] = err
		error(err)
	end
end

function datasheet.query(name)
	if failed[name] then
		error(failed[name])
	end
	return follow.query(name, ask)
end

return datasheet
