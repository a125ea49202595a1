-- skynet.require: what a service's `require` and skynet.init are. In the main chunk nothing can suspend, so the stock
-- `require` serves, and initialisers wait for skynet.start. What loads later, in a coroutine, is the work of
-- skynet.lateload.
local coroutine_running = coroutine.running
local stock_require = require
local loaded = package.loaded

local M = { stock = stock_require }

local start_list = {}	-- initialisers of the main chunk; nil once they run

local function lateload()
	return stock_require "skynet.lateload"
end

function M.require(name)
	local module = loaded[name]
	if module ~= nil then
		return module
	end
	local thread, is_main = coroutine_running()
	if is_main then
		return stock_require(name)
	end
	return lateload().require(name, thread, stock_require)
end

-- Registers an initialiser of the module (or service) that is being loaded.
function M.init(f)
	assert(type(f) == "function")
	local thread, is_main = coroutine_running()
	local list = start_list
	if not is_main then
		list = lateload().initialisers(thread)
	end
	if not list then
		error("skynet.init outside a module that is being loaded", 2)
	end
	list[#list + 1] = f
end

-- Runs the initialisers of the main chunk: once, from the coroutine of skynet.start.
function M.init_all()
	local list = start_list
	start_list = nil
	for _, f in ipairs(list) do
		f()
	end
end

return M
