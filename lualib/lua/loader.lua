-- loader: the first Lua code of every service. Finds the service's script, sets up its environment, runs it.
-- Called by the host as loader(line, host): `line` is the service's name and its arguments; `host` knows the services
-- that are embedded in the engine (host.service, host.is_skynet_tree) and is nil when there are none.
local line, host = ...

-- The host leaves the search paths in globals; a script never sees them.
local function take(name)
	local value = _G[name]
	_G[name] = nil
	return value
end

local words = {}
for word in line:gmatch "%S+" do
	words[#words + 1] = word
end
SERVICE_NAME = assert(words[1], "a service without a name")

local lua_path, lua_cpath = take "LUA_PATH", take "LUA_CPATH"
local templates, preload = take "LUA_SERVICE", take "LUA_PRELOAD"

local function exists(file)
	local f = io.open(file, "rb")
	if f then
		f:close()
	end
	return f ~= nil
end

-- Is `file` an engine's own copy of a stock service? A project's script of the same name is not.
local function is_stock(file)
	return exists(file) and host.is_skynet_tree(file:match "^(.*/)" or "./")
end

-- The script's main chunk and the template that led to it.
local function find(name)
	local embedded, embedded_template
	if host then
		embedded, embedded_template = host.service(name)
	end
	local errors, broken = {}, false
	for template in templates:gmatch "[^;]+" do
		local file = template:gsub("%?", { ["?"] = name })
		if embedded and is_stock(file) then
			return embedded, embedded_template
		end
		local main, err = loadfile(file)
		if main then
			return main, template
		end
		errors[#errors + 1] = err
		broken = broken or exists(file)
	end
	if embedded and not broken then
		return embedded, embedded_template
	end
	error(table.concat(errors, "\n"), 0)
end

local main, template = find(SERVICE_NAME)

if lua_path then
	package.path = lua_path
end
if lua_cpath then
	package.cpath = lua_cpath
end

-- A service with a folder of its own finds the modules beside it first.
local folder, file = template:match "^(.*/)([^/]*)$"
if folder then
	SERVICE_PATH = folder:gsub("%?", { ["?"] = SERVICE_NAME })
	if folder:find("?", 1, true) or not file:find("?", 1, true) then
		package.path = SERVICE_PATH .. "?.lua;" .. package.path
	end
end

if preload then
	assert(loadfile(preload))(table.unpack(words))
end

require = require "skynet.require".require

return main(table.unpack(words, 2))
