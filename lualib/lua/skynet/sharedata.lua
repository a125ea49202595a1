-- skynet.sharedata: read-only tables that many services read in place, and that follow updates. A face of the service sharedatad.
local skynet = require "skynet"
local tables = require "fulmar.tables"
local new_follow = require "fulmar.follow"

-- A table that is read in place is empty to the eyes of Lua's own next.
next = tables.next

local sharedata = {}
local service

skynet.init(function()
	service = skynet.uniqueservice "sharedatad"
end)

local follow = new_follow("", function(name, version)
	return skynet.call(service, "lua", "monitor", name, version)
end)

-- What is sent for a value: a token for a table, which is built here. The token lives as long as the second result.
local function packed(value)
	if type(value) ~= "table" then
		return value
	end
	local image = require "fulmar.build".image(value)	-- those who only read do without
	return tables.token(image), image
end

function sharedata.new(name, value, ...)
	local sent <const>, _image = packed(value)
	skynet.call(service, "lua", "new", name, sent, ...)
end

function sharedata.update(name, value, ...)
	local sent <const>, _image = packed(value)
	skynet.call(service, "lua", "update", name, sent, ...)
end

function sharedata.delete(name)
	skynet.call(service, "lua", "delete", name)
end

-- Publishes { name = table, or false to delete it } in one step.
function sharedata.batch(batch)
	local sent, images = {}, {}
	for name, value in pairs(batch) do
		sent[name], images[name] = packed(value)
	end
	skynet.call(service, "lua", "batch", sent)
end

-- Gives a name the image in a file, which is read in place.
function sharedata.load(name, path)
	local image <const> = tables.load(path)	-- the token lives as long as it does
	skynet.call(service, "lua", "update", name, tables.token(image))
end

local MAX_PATH <const> = 200	-- longer than any image is deep

-- The keys of a path. One that is nil is among them, and refused as a key: cut short there, a path would name another place.
local function keys(path)
	local last = 0
	for i in pairs(path) do
		if math.type(i) ~= "integer" or i < 1 or i > MAX_PATH then
			error(("bad path (an array of keys expected, got a key %s)"):format(i), 3)
		end
		last = math.max(last, i)
	end
	return table.unpack(path, 1, last)
end

-- Changes one place: `path` is a key or an array of keys.
function sharedata.patch(name, path, value)
	path = type(path) == "table" and path or { path }
	if not require "fulmar.build".patch(name, value, keys(path)) then
		error(("no table %s"):format(name))
	end
end

-- Raises when there is no table of this name. What is published is there without asking.
local function ask(name)
	if not tables.version(name) then
		skynet.call(service, "lua", "query", name)
	end
end

-- With the option "plain", tables of one's own, filled and fast; they follow nothing.
function sharedata.query(name, option)
	if option == "plain" then
		return sharedata.deepcopy(name)
	end
	return follow.query(name, ask)
end

function sharedata.deepcopy(name, ...)
	ask(name)
	return tables.copy(tables.current(name) or error(("no table %s"):format(name)), ...)
end

function sharedata.flush()
	follow.refresh()
	collectgarbage()
end

-- Waits for the next version of a table, and returns the keys at its top that have changed; nil when it was deleted.
function sharedata.wait(name)
	local old, version = tables.current(name)
	ask(name)
	if skynet.call(service, "lua", "monitor", name, version) then
		return tables.changed((tables.current(name)), old)
	end
end

-- Calls listener(changed keys, object) after each update of an object that this service holds.
sharedata.listen = follow.listen

return sharedata
