-- launcher: starts services for others, knows what it has started, and speaks for all of them.
-- A launch is answered when the new service says that it is ready (LAUNCHOK), that it failed (ERROR), or that it is
-- gone (REMOVE).
local core = require "skynet.core"
local skynet = require "skynet"
require "skynet.manager"

local lines = {}	-- handle -> "snlua name args"
local launching = {}	-- handle -> { answer, source, session } of the request that started it
local command = {}

local DETACHED = {}	-- what a command returns when its answer comes later

-- start(module, args) gives the handle, or nothing.
local function launch(source, session, start, module, ...)
	local args = table.concat({ ... }, " ")
	local answer = skynet.response()
	local handle = start(module, args)
	if handle then
		lines[handle] = module .. " " .. args
		launching[handle] = { answer = answer, source = source, session = session }
	else
		answer(false)
	end
	return handle
end

function command.LAUNCH(source, session, ...)
	launch(source, session, skynet.launch, ...)
	return DETACHED
end

function command.LOGLAUNCH(source, session, ...)
	local handle = launch(source, session, skynet.launch, ...)
	if handle then
		core.command("LOGON", skynet.address(handle))
	end
	return DETACHED
end

-- A Lua service with options; see the module fulmar.
function command.PLACE(source, session, options, ...)
	local function start(_, args)
		local ok, handle, reason = pcall(require "fulmar.core".launch, options, args)
		return ok and handle or skynet.error(reason or handle)
	end
	launch(source, session, start, "snlua", ...)
	return DETACHED
end

-- Answers the request that waits for this service, if there is one.
local function launched(handle, ...)
	local request = launching[handle]
	if request then
		launching[handle] = nil
		request.answer(...)
	end
end

function command.LAUNCHOK(handle)
	launched(handle, true, handle)
end

function command.ERROR(handle)
	lines[handle] = nil
	launched(handle, false)
end

function command.REMOVE(_, _, handle, killed)
	lines[handle] = nil
	launched(handle, not killed)
end

-- Which service does the request with this session start? Sessions count per requester: the asker's own goes first.
function command.QUERY(source, _, session)
	local found
	for handle, request in pairs(launching) do
		if request.session == session then
			if request.source == source then
				return handle
			end
			found = handle
		end
	end
	return found
end

function command.LIST()
	local list = {}
	for handle, line in pairs(lines) do
		list[skynet.address(handle)] = line
	end
	return list
end

-- Sends a debug command to all services at once. Returns { address = read(line, answer) }; in place of an answer there
-- is "ERROR", or "TIMEOUT" for those that took longer than `limit`.
local function ask_all(limit, name, read)
	local requests, late, result = skynet.request(), {}, {}
	for handle, line in pairs(lines) do
		requests:add { handle, "debug", name, line = line }
		late[handle] = line
	end
	for request, answer in requests:select(limit) do
		local handle = request[1]
		late[handle] = nil
		result[skynet.address(handle)] = read(request.line, answer and answer[1] or "ERROR")
	end
	for handle, line in pairs(late) do
		result[skynet.address(handle)] = read(line, "TIMEOUT")
	end
	return result
end

function command.STAT(_, _, limit)
	return ask_all(limit, "STAT", function(_, stat)
		return stat
	end)
end

function command.MEM(_, _, limit)
	return ask_all(limit, "MEM", function(line, kb)
		return type(kb) == "number" and ("%.2f Kb (%s)"):format(kb, line) or ("%s (%s)"):format(kb, line)
	end)
end

function command.GC(source, session, limit)
	for handle in pairs(lines) do
		skynet.send(handle, "debug", "GC")
	end
	return command.MEM(source, session, limit)
end

function command.KILL(_, _, handle)
	local line = tostring(lines[handle])
	skynet.kill(handle)
	lines[handle] = nil
	return { [skynet.address(handle)] = line }
end

-- Native services report in text.
skynet.register_protocol {
	name = "text",
	id = skynet.PTYPE_TEXT,
	unpack = skynet.tostring,
	dispatch = function(_, source, text)
		if text == "" then
			command.LAUNCHOK(source)
		elseif text == "ERROR" then
			command.ERROR(source)
		else
			error("Invalid text command " .. text)
		end
	end,
}

local function answer(first, ...)
	if first ~= DETACHED then
		skynet.retpack(first, ...)
	end
end

skynet.dispatch("lua", function(session, source, name, ...)
	local f = command[tostring(name):upper()]
	if f then
		answer(f(source, session, ...))
	else
		skynet.retpack { "Unknown command" }
	end
end)

skynet.start(function() end)
