-- service_provider: keeps the services that skynet.service makes from functions, by name. A name that could not be
-- started stays so for ever.
local skynet = require "skynet"
require "skynet.manager"

-- name -> { name, handle, ready, failed, time, init, waiting }. `waiting` holds the responses of those who ask for it.
local services = {}
local command = {}

local function service_of(name)
	local s = services[name]
	if not s then
		s = { name = name, waiting = {} }
		services[name] = s
	end
	return s
end

local function check(s)
	if s.failed then
		error(("service %s could not start"):format(s.name), 0)
	end
end

local function settle(s, outcome)
	s[outcome] = true
	for _, answer in ipairs(s.waiting) do
		answer(s.ready, s.handle)
	end
	s.waiting = {}
end

function command.test(name)
	local s = services[name]
	if not s then
		return skynet.ret()
	end
	check(s)
	if s.ready then
		skynet.retpack(s.handle)
	else
		skynet.retpack(nil, s.launched)
	end
end

function command.query(name)
	local s = service_of(name)
	check(s)
	if s.ready then
		skynet.retpack(s.handle)
	else
		table.insert(s.waiting, skynet.response())
	end
end

local function describe(...)
	local args = table.pack(...)
	for i = 1, args.n do
		args[i] = tostring(args[i])
	end
	return table.concat(args, ",")
end

local function boot(s, ...)
	s.handle = skynet.newservice("service_cell", s.name)
	skynet.call(s.handle, "lua", "init", ...)
end

function command.launch(name, code, ...)
	local s = service_of(name)
	if not s.launched then
		s.launched, s.time, s.init = true, os.time(), describe(...)
		if pcall(boot, s, code, ...) then
			settle(s, "ready")
		else
			if s.handle then
				skynet.kill(s.handle)
			end
			settle(s, "failed")
		end
	end
	command.query(name)
end

function command.close(name)
	local s = services[name]
	if s and s.ready then
		services[name] = nil
		skynet.retpack(s.handle)
	else
		skynet.retpack(nil)
	end
end

skynet.info_func(function()
	local info = {}
	for name, s in pairs(services) do
		local status
		if #s.waiting > 0 then
			status = ("waiting(%d)"):format(#s.waiting)
		elseif s.launched and not s.ready and not s.failed then
			status = "booting"
		end
		info[s.handle and skynet.address(s.handle) or name] = {
			init = s.init,
			name = name,
			time = s.time and os.date("%Y-%m-%d %H:%M:%S", s.time),
			status = status,
		}
	end
	return info
end)

skynet.start(function()
	skynet.dispatch("lua", function(_, _, name, ...)
		local f = command[name]
		if not f then
			error(("Invalid command %s"):format(name))
		end
		f(...)
	end)
end)
