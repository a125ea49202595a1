-- service_mgr: the registry of unique services. Every node has one (.service); the master's is SERVICE as well and keeps
-- the services that are unique in the whole network, under "@name". Requests for a service that is not there yet wait.
local skynet = require "skynet"
require "skynet.manager"

-- The state of a service is its handle; or the text that tells why it could not be started; or, while someone waits for
-- it, the array of the waiting requests { thread, source, session }, with the one that starts it in `launch`.
local services = {}
local command = {}

local function resolved(state)
	if type(state) == "string" then
		error(state, 0)
	end
	return state
end

local function is_pending(state)
	return state == nil or type(state) == "table"
end

local function requests_for(key)
	local requests = services[key] or {}
	services[key] = requests
	return requests
end

local function wait_for(request, key)
	local requests = requests_for(key)
	request.thread = coroutine.running()
	table.insert(requests, request)
	while services[key] == requests do
		skynet.wait(request.thread)
	end
	return resolved(services[key])
end

local function query(request, key)
	if is_pending(services[key]) then
		return wait_for(request, key)
	end
	return resolved(services[key])
end

-- The outcome of start(...): a handle, or the text that tells why there is none.
local function try(key, start, ...)
	local ok, handle = pcall(start, ...)
	if not ok then
		return tostring(handle)
	end
	return handle or ("%s ended while it started"):format(key)
end

-- The service under `key`; the first request starts it with start(...).
local function launch(request, key, start, ...)
	if not is_pending(services[key]) or requests_for(key).launch then
		return query(request, key)
	end
	local requests = requests_for(key)
	request.thread = coroutine.running()
	requests.launch = request
	services[key] = try(key, start, ...)
	for _, waiting in ipairs(requests) do
		skynet.wakeup(waiting.thread)
	end
	return resolved(services[key])
end

local function start_snax(...)
	return require "skynet.snax".rawnewservice(...)
end

-- Key and way of starting for "name" and "snaxd", "name"; a leading "@" of the key is no part of the name.
local function plan(prefix, name, ...)
	if name:byte() == 64 then	-- "@"
		prefix, name = "@", name:sub(2)
	end
	if name == "snaxd" then
		return ("%ssnaxd.%s"):format(prefix, (...)), start_snax, ...
	end
	return prefix .. name, skynet.newservice, name, ...
end

function command.LAUNCH(request, ...)
	return launch(request, plan("", ...))
end

function command.QUERY(request, ...)
	return query(request, plan("", ...))
end

local function traceback_of(request)
	local ok, text = pcall(skynet.call, request.source, "debug", "TASK", request.session)
	return skynet.address(request.source), ok and text or "is gone"
end

-- What is known of a service that has not started yet.
local function describe(requests)
	local lines = {}
	local request = requests.launch
	if request then
		local session = skynet.task(request.thread)
		local handle = session and skynet.call(".launcher", "lua", "QUERY", session)
		if handle then
			local ok, text = pcall(skynet.call, handle, "debug", "TASK", "init")
			lines[#lines + 1] = ("Init as %s\n%s"):format(skynet.address(handle), ok and text or "")
		end
		lines[#lines + 1] = ("Launching from %s\n%s"):format(traceback_of(request))
	end
	if #requests > 0 then
		lines[#lines + 1] = "Querying:"
		for _, waiting in ipairs(requests) do
			lines[#lines + 1] = ("%s %s"):format(traceback_of(waiting))
		end
	end
	return table.concat(lines, "\n")
end

local function list()
	local pending, result = {}, {}
	for key, state in pairs(services) do
		if type(state) == "table" then
			pending[key] = state
		elseif type(state) == "string" then
			result[key] = "Error: " .. state
		else
			result[key] = skynet.address(state)
		end
	end
	for key, requests in pairs(pending) do
		result[key] = describe(requests)
	end
	return result
end

command.LIST = list

local function become_master()
	local managers = {}	-- node -> handle of its service manager

	function command.GLAUNCH(request, ...)
		return launch(request, plan("@", ...))
	end

	function command.GQUERY(request, ...)
		return query(request, plan("@", ...))
	end

	function command.REPORT(_, handle)
		managers[skynet.harbor(handle)] = handle
	end

	function command.LIST()
		local result = list()
		for node, manager in pairs(managers) do
			local ok, theirs = pcall(skynet.call, manager, "lua", "LIST")
			for key, state in pairs(ok and theirs or {}) do
				result[("%s@%d"):format(key, node)] = state
			end
		end
		return result
	end

	skynet.register "SERVICE"
end

local function follow_master()
	local function ask(name)
		return function(_, ...)
			local key = plan("@", ...)
			if not services[key] then
				local handle, err = skynet.call("SERVICE", "lua", name, ...)
				services[key] = handle or error(err, 0)
			end
			return services[key]
		end
	end
	command.GLAUNCH = ask "GLAUNCH"
	command.GQUERY = ask "GQUERY"
	skynet.call("SERVICE", "lua", "REPORT", skynet.self())
end

local function answer(ok, ...)
	if ok then
		skynet.retpack(...)
	else
		skynet.retpack(nil, ...)
	end
end

skynet.dispatch("lua", function(session, source, name, ...)
	local f = command[name]
	if f then
		answer(pcall(f, { source = source, session = session }, ...))
	else
		skynet.retpack(nil, "Invalid command " .. tostring(name))
	end
end)

skynet.start(function()
	local other = skynet.localname ".service"
	if other then
		skynet.error(".service is already register by ", skynet.address(other))
		skynet.exit()
	end
	skynet.register ".service"
	if skynet.getenv "standalone" then
		become_master()
	else
		follow_master()
	end
end)
