-- skynet.require: `require` for modules that suspend while they load, and the initialisers of modules.
-- In the main chunk nothing can suspend, so the stock `require` serves and initialisers wait for skynet.start. Later
-- each coroutine loads for itself: one that wants a module which another is loading waits for it.
local coroutine_running = coroutine.running
local traceback = debug.traceback
local stock_require = require
local loaded = package.loaded

local M = {}

local start_list = {}	-- initialisers of the main chunk; nil once they run
local loading = {}	-- module name -> its load
local waits_for = setmetatable({}, { __mode = "k" })	-- thread -> name of the module that it waits for
local current = setmetatable({}, { __mode = "k" })	-- thread -> the innermost load that it carries out

-- A load is the array of its module's initialisers and { name, thread, outer, waiters }. It ends when it is closed, also
-- when its thread is killed.
local load_meta = {}

function load_meta:__close()
	loading[self.name] = nil
	current[self.thread] = self.outer
	for _, thread in ipairs(self.waiters) do
		loaded.skynet.wakeup(thread)
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
		loaded.skynet.wait(thread)
	end
	waits_for[thread] = nil
	return loaded[name] or error(("require %s failed"):format(name), 2)
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

function M.require(name)
	local module = loaded[name]
	if module then
		return module
	end
	local thread, is_main = coroutine_running()
	if is_main then
		return stock_require(name)
	end
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

-- Registers an initialiser of the module (or service) that is being loaded.
function M.init(f)
	assert(type(f) == "function")
	local thread, is_main = coroutine_running()
	local list = current[thread]
	if is_main then
		list = start_list
	end
	if not list then
		error("skynet.init outside a module that is being loaded", 2)
	end
	table.insert(list, f)
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
