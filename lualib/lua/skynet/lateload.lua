-- skynet.lateload: `require` in a coroutine. The module and its initialisers may suspend; each coroutine loads for
-- itself, and one that wants a module which another is loading waits for it.
local skynet = require "skynet"
local traceback = debug.traceback
local loaded = package.loaded

local M = {}

local loading = {}	-- module name -> its load
local waits_for = setmetatable({}, { __mode = "k" })	-- thread -> name of the module that it waits for
local current = setmetatable({}, { __mode = "k" })	-- thread -> the innermost load that it carries out

-- A load is the array of its module's initialisers and { name, thread, outer, waiters }. It ends when it is closed,
-- also when its thread is killed.
local load_meta = {}

function load_meta:__close()
	loading[self.name] = nil
	current[self.thread] = self.outer
	for _, thread in ipairs(self.waiters) do
		skynet.wakeup(thread)
	end
end

local function begin_load(name, thread)
	local load = setmetatable({ name = name, thread = thread, outer = current[thread], waiters = {} }, load_meta)
	loading[name], current[thread] = load, load
	return load
end

-- Follows who waits for whom: a chain that leads back to `thread` would never end.
local function check_circle(load, thread)
	repeat
		assert(load.thread ~= thread, "circular dependency")
		load = loading[waits_for[load.thread]]
	until not load
end

local function wait_for(load, thread)
	check_circle(load, thread)
	local name = load.name
	table.insert(load.waiters, thread)
	waits_for[thread] = name
	while loading[name] == load do
		skynet.wait(thread)
	end
	waits_for[thread] = nil
	return loaded[name] or error(("require %s failed"):format(name), 0)
end

-- The module's loader when it is Lua code. What is written in C, or is not there at all, is for the stock `require`.
local function find(name)
	for _, searcher in ipairs(package.searchers) do
		local loader, extra = searcher(name)
		if type(loader) == "function" then
			if debug.getinfo(loader, "S").what ~= "C" then
				return loader, extra
			end
			return
		end
	end
end

local function run(load, loader, extra)
	local name = load.name
	local module = loader(name, extra)
	for _, f in ipairs(load) do
		f()
	end
	if module ~= nil then
		loaded[name] = module
	elseif not loaded[name] then
		loaded[name] = true
	end
end

function M.require(name, thread, stock_require)
	local busy = loading[name]
	if busy then
		return wait_for(busy, thread)
	end
	local loader, extra = find(name)
	if not loader then
		return stock_require(name)
	end
	local load <close> = begin_load(name, thread)
	local ok, err = xpcall(run, traceback, load, loader, extra)
	if not ok then
		error(err, 0)
	end
	return loaded[name]
end

-- The initialisers of the module that this thread loads; nil when it loads none.
function M.initialisers(thread)
	return current[thread]
end

return M
