-- fulmar.sharetabled: the service `sharetable` runs sources and publishes what they return.
local skynet = require "skynet"
local codecache = require "skynet.codecache"
local tables = require "fulmar.tables"
local announce = require "fulmar.announce" "sharetable/"

codecache.mode "OFF"

local versions = {}	-- name -> weak set of its images

local function share(name, image)
	versions[name] = versions[name] or setmetatable({}, { __mode = "k" })
	versions[name][image] = true
	announce.publish { [name] = image }
end

-- The text of a file; empty when it cannot be read.
local function read(filename)
	local file <close> = io.open(filename, "rb")
	return file and file:read "a" or ""
end

local function run(name, chunk, ...)
	local result = chunk(...)
	if type(result) ~= "table" then
		error(("Not a table, it's a %s."):format(type(result)), 0)
	end
	share(name, tables.build(result, "whole"))
end

local function environment()
	return setmetatable({}, { __index = _ENV })
end

local command = {}

function command.loadfile(name, ...)
	local image = tables.literal(read(name))
	if image then
		return share(name, image)
	end
	run(name, assert(loadfile(name, "t", environment())), ...)
end

-- A source that is nothing but data need not run.
function command.loadstring(name, source, ...)
	local image = tables.literal(source)
	if image then
		return share(name, image)
	end
	run(name, assert(load(source, "@" .. name, "t", environment())), ...)
end

function command.loadtable(name, token)
	share(name, tables.claim(token))
end

skynet.dispatch("lua", function(_, _, name, ...)
	skynet.retpack(command[name](...))
	collectgarbage()	-- a source and what it made may be large, and this service has little else to do
end)

skynet.info_func(function()
	local info = {}
	for name, images in pairs(versions) do
		local image, version = tables.current("sharetable/" .. name)
		local history = 0
		for _ in pairs(images) do
			history = history + 1
		end
		info[name] = { current = version, size = tables.size(image), history = history }
	end
	return info
end)
