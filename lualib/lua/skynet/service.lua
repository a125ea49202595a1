-- skynet.service: unique services made from a function instead of a file. A face of the service service_provider.
local skynet = require "skynet"
require "skynet.manager"

local service = {}

local handles = {}	-- name -> handle, as far as this service has asked

local provider
local function ask(...)
	provider = provider or skynet.uniqueservice "service_provider"
	return skynet.call(provider, "lua", ...)
end

-- The function travels as bytecode: it can take nothing along but the globals.
local function code_of(f)
	assert(debug.getinfo(f, "u").nups == 1)
	assert(debug.getupvalue(f, 1) == "_ENV")
	return string.dump(f)
end

function service.new(name, mainfunc, ...)
	local handle, booting = ask("test", name)
	if booting then
		handle = ask("query", name)
	elseif not handle then
		handle = ask("launch", name, code_of(mainfunc), ...)
	end
	handles[name] = handle
	return handle
end

function service.query(name)
	local handle = handles[name]
	if not handle then
		handle = ask("query", name)
		handles[name] = handle
	end
	return handle
end

function service.close(name)
	local handle = ask("close", name)
	handles[name] = nil
	if not handle then
		return false
	end
	skynet.kill(handle)
	return true
end

return service
