-- skynet.manager: lets `skynet` start, name, watch and end services. Most who require it call one of the functions, if any, so
-- they are stubs until the first call (skynet.manage).
local skynet = require "skynet"
local load = require "skynet.require".stock

local stubs = {}

local function functions()
	local manage = load "skynet.manage"
	for name, stub in pairs(stubs) do
		if rawget(skynet, name) == stub then
			skynet[name] = manage[name]
		end
	end
	return manage
end

for _, name in ipairs { "launch", "kill", "abort", "register", "name", "forward_type", "filter", "monitor" } do
	stubs[name] = function(...)
		return functions()[name](...)
	end
	skynet[name] = stubs[name]
end

return skynet
