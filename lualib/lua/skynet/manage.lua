-- skynet.manage: the functions of skynet.manager: start, name, watch and end services, this one's message entry included.
local core = require "skynet.core"
local skynet = require "skynet"

local M = {}

-- Starts a service of any module. Its init has run when this returns; a Lua script has not.
function M.launch(...)
	return core.addresscommand("LAUNCH", table.concat({ ... }, " "))
end

local function handle_of(name)
	if type(name) == "number" then
		return name
	elseif name:byte() == 58 then	-- ":"
		return tonumber(name:sub(2), 16)
	end
	return skynet.localname(name)
end

function M.kill(name)
	local handle = handle_of(name)
	if handle then
		skynet.send(".launcher", "lua", "REMOVE", handle, true)
		name = skynet.address(handle)
	end
	core.command("KILL", name)
end

function M.abort()
	core.command "ABORT"
end

local function is_local(name)
	return name:byte() == 46	-- "."
end

local function register_global(name, handle)
	assert(name:byte() ~= 58)
	assert(#name < 16)
	assert(not tonumber(name))
	require "skynet.harbor".globalname(name, handle)
end

function M.register(name)
	if is_local(name) then
		core.command("REG", name)
	else
		register_global(name, skynet.self())
	end
end

function M.name(name, handle)
	if is_local(name) then
		core.command("NAME", name .. " " .. skynet.address(handle))
	else
		register_global(name, handle)
	end
end

local function start_with(callback, forward, start_func)
	core.callback(callback, forward)
	skynet.timeout(0, function()
		skynet.init_service(start_func)
	end)
end

-- In place of skynet.start. A message whose type is in `map` is dispatched as type map[type] and belongs to its handler.
function M.forward_type(map, start_func)
	local dispatch, trash = skynet.dispatch_message, core.trash
	start_with(function(prototype, msg, sz, session, source)
		local mapped = map[prototype]
		if mapped then
			return dispatch(mapped, msg, sz, session, source)
		end
		local ok, err = pcall(dispatch, prototype, msg, sz, session, source)
		trash(msg, sz)
		if not ok then
			error(err, 0)
		end
	end, true, start_func)
end

-- In place of skynet.start. Every message is dispatched as f(type, msg, sz, session, source) returns it.
function M.filter(f, start_func)
	local dispatch = skynet.dispatch_message
	start_with(function(...)
		dispatch(f(...))
	end, false, start_func)
end

function M.monitor(service, query)
	local find = query and skynet.queryservice or skynet.uniqueservice
	local monitor = assert(find(true, service), "Monitor launch failed")
	core.command("MONITOR", skynet.address(monitor))
	return monitor
end

return M
