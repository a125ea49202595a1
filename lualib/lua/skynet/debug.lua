-- skynet.debug: the protocol "debug" that every Lua service answers. Only the door is here, since every service carries
-- it; the commands come with the first message (skynet.debugcommands).
local stock_require = require	-- skynet.require's has more behind it than the commands need
local M = {}

local added = {}	-- the commands that the service itself has brought
local stock

-- Adds a command. It answers by itself (skynet.ret).
function M.reg_debugcmd(name, f)
	added[name] = f
end

-- Called once, by the module skynet. `export` holds functions whose upvalues RUN shows to injected code.
function M.init(skynet, export)
	local info

	function skynet.info_func(f)
		info = f
	end

	local function get_info(...)
		return info and info(...)
	end

	skynet.register_protocol {
		name = "debug",
		id = skynet.PTYPE_DEBUG,
		pack = skynet.pack,
		unpack = skynet.unpack,
		dispatch = function(_, _, name, ...)
			stock = stock or stock_require "skynet.debugcommands"(skynet, export, get_info)
			local command = stock[name] or added[name]
			if not command then
				error(("Unknown debug command %s"):format(name), 0)
			end
			command(...)
		end,
	}
end

return M
