-- fulmar: what services can ask of this engine beyond skynet's API.
local skynet = require "skynet"
local core = require "fulmar.core"

local M = {
	launch = core.launch,
}

-- skynet.newservice for a service with a place of its own or a mailbox that holds only so much.
function M.newservice(options, name, ...)
	core.check(options)
	return skynet.call(".launcher", "lua", "PLACE", options, name, ...)
end

return M
