-- skynet.manager: lets `skynet` start, name, watch and end services. Most who require it use one function at most, so the
-- functions come with the first use of one (skynet.manage).
local skynet = require "skynet"

local late = getmetatable(skynet)
if late then
	late[#late + 1] = "skynet.manage"
else
	require "skynet.manage"
end

return skynet
