-- fulmar.datasheetd: the service `datasheet` publishes sheets and tells those who wait for them.
local skynet = require "skynet"
local tables = require "fulmar.tables"
local announce = require "fulmar.announce" "datasheet/"

local command = { query = announce.query }

function command.new(name, token)
	assert(not announce.version(name))
	announce.publish { [name] = tables.claim(token) }
end

function command.update(name, token)
	announce.publish { [name] = tables.claim(token) }
end

skynet.dispatch("lua", function(_, _, name, ...)
	if name == "monitor" then
		local now, version = announce.monitor(...)
		if now then
			skynet.retpack(version)
		end
	else
		skynet.retpack(command[name](...))
	end
end)
skynet.info_func(announce.waiting)
