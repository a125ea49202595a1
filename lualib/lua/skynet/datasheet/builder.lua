-- skynet.datasheet.builder: makes the sheets that skynet.datasheet reads.
local skynet = require "skynet"
local service = require "skynet.service"
local tables = require "fulmar.tables"
local dump = require "skynet.datasheet.dump"

local builder = {}

local address
skynet.init(function()
	address = service.new("datasheet", load "require 'fulmar.datasheetd'")
end)

builder.compile = dump.dump

-- Through the document, so that a table has the limits of one that was compiled.
local function publish(command, name, value)
	local document = type(value) == "string" and value or dump.dump(value)
	local image <const> = tables.build((dump.undump(document)))	-- the token lives as long as it does
	skynet.call(address, "lua", command, name, tables.token(image))
end

function builder.new(name, value)
	assert(not tables.version("datasheet/" .. name))
	publish("new", name, value)
end

function builder.update(name, value)
	assert(tables.version("datasheet/" .. name))
	publish("update", name, value)
end

return builder
