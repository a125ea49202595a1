-- skynet.debug: the protocol "debug" that every Lua service answers. The first message loads this.
local skynet = require "skynet"
local core = require "skynet.core"
local stock_require = require "skynet.require".stock	-- skynet.require's has more behind it than the commands need

local M = {}

local export = { dispatch = skynet.dispatch_message }	-- RUN shows their upvalues to injected code
local added = {}	-- the commands that the service itself has brought
local stock

-- Adds a command. It answers by itself (skynet.ret).
function M.reg_debugcmd(name, f)
	added[name] = f
end

-- Replaces the functions whose upvalues RUN shows.
function M.init(_, functions)
	export = functions
end

local function get_info(...)
	if core.info_func then
		return core.info_func(...)
	end
	return nil	-- a value, for the answer
end

function M.dispatch(_, _, name, ...)
	stock = stock or stock_require "skynet.debugcommands"(skynet, export, get_info)
	local command = stock[name] or added[name]
	if not command then
		error(("Unknown debug command %s"):format(name), 0)
	end
	command(...)
end

return M
