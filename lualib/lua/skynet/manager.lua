-- skynet.manager: lets `skynet` start, name, watch and end services. Most who require it call one of the functions, if any, so
-- skynet.manage, which has them, is loaded with the first call.
local skynet = require "skynet"

require "skynet.core".manage(skynet, require "skynet.require".stock)

return skynet
