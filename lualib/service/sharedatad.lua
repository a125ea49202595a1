-- sharedatad: owns the tables of sharedata.
local skynet = require "skynet"
local codecache = require "skynet.codecache"
local tables = require "fulmar.tables"
local announce = require "fulmar.announce" ""

codecache.mode "OFF"	-- data files are read afresh

local command = {}

-- Source text, or a file when it begins with "@": the table that it returns, else its globals.
local function evaluate(source, ...)
	local env = setmetatable({}, { __index = _ENV })
	local chunk
	if source:sub(1, 1) == "@" then
		chunk = assert(loadfile(source:sub(2), "t", env))
	else
		chunk = assert(load(source, "=(load)", "t", env))
	end
	local result = chunk(...)
	if type(result) == "table" then
		return result
	end
	return setmetatable(env, nil)
end

local function image_of(value, ...)
	local kind = type(value)
	if kind == "userdata" then
		return tables.claim(value)
	elseif kind == "string" then
		return tables.literal(value) or tables.build(evaluate(value, ...))
	elseif kind == "nil" then
		return tables.build {}
	end
	return tables.build(value)
end

function command.new(name, value, ...)
	assert(not announce.version(name), "a table of this name exists")
	announce.publish { [name] = image_of(value, ...) }
end

function command.update(name, value, ...)
	announce.publish { [name] = image_of(value, ...) }
end

function command.delete(name)
	assert(announce.version(name), "no table of this name")
	announce.publish { [name] = false }
end

-- batch { name = token, or false to delete it }
function command.batch(batch)
	for name, token in pairs(batch) do
		batch[name] = token and tables.claim(token)
	end
	announce.publish(batch)
end

command.query = announce.query

-- Whoever was told reads the registry: there is nothing to release.
function command.confirm() end

skynet.start(function()
	skynet.dispatch("lua", function(session, _, name, ...)
		if name == "monitor" then
			local now, version = announce.monitor(...)
			if now then
				skynet.retpack(version)
			end
			return
		end
		local f = assert(command[name], "unknown command")
		if name == "confirm" or session == 0 then
			f(...)
		else
			skynet.retpack(f(...))
		end
	end)
	skynet.info_func(announce.waiting)
end)
