-- skynet.debug: the protocol "debug" that every Lua service answers. Only the door is here, since every service carries
-- it; the commands come with the first message (skynet.debugcommands).
local M = {}

-- Commands by name: what a service has added, then the stock ones.
local commands = {}

function M.reg_debugcmd(name, f)
	commands[name] = f
end

-- Called once, by the module skynet. `export` holds functions whose upvalues RUN shows to injected code.
function M.init(skynet, export)
	local info

	function skynet.info_func(f)
		info = f
	end

	local function load_commands(_, name)
		local stock = require "skynet.debugcommands"(skynet, export, function(...)
			return info and info(...)
		end)
		setmetatable(commands, { __index = stock })
		return stock[name]
	end
	setmetatable(commands, { __index = load_commands })

	skynet.register_protocol {
		name = "debug",
		id = skynet.PTYPE_DEBUG,
		pack = skynet.pack,
		unpack = skynet.unpack,
		dispatch = function(_, _, name, ...)
			local command = commands[name]
			if not command then
				error(("Unknown debug command %s"):format(name), 0)
			end
			command(...)
		end,
	}
end

return M
