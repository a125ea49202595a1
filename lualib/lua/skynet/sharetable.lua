-- skynet.sharetable: read-only tables that all services of a node share; a service moves to a new version when it says so.
local skynet = require "skynet"
local service = require "skynet.service"
local tables = require "fulmar.tables"

-- A table that is read in place is empty to the eyes of Lua's own next, and one like others to those of its setmetatable.
next = tables.next

local lua_setmetatable <const> = setmetatable
function setmetatable(t, metatable)
	if tables.isbox(t) then
		error("can't setmetatable to shared table", 2)
	end
	return lua_setmetatable(t, metatable)
end

local PREFIX <const> = "sharetable/"
local sharetable = {}

local address
skynet.init(function()
	address = service.new("sharetable", load "require 'fulmar.sharetabled'")
end)

function sharetable.loadfile(filename, ...)
	skynet.call(address, "lua", "loadfile", filename, ...)
end

function sharetable.loadstring(name, source, ...)
	skynet.call(address, "lua", "loadstring", name, source, ...)
end

function sharetable.loadtable(name, t)
	local image <const> = require "fulmar.build".image(t, "message")	-- the token lives as long as it does
	skynet.call(address, "lua", "loadtable", name, tables.token(image))
end

local queried = {}	-- name -> weak set of the boxes that this service has
local newest = {}	-- name -> { version, box (weak) } of the last query

-- With the option "plain", tables of one's own, filled and fast; no update touches them.
function sharetable.query(name, option)
	local image, version = tables.current(PREFIX .. name)
	if not image then
		return nil
	elseif option == "plain" then
		return tables.copy(image)
	end
	local last = newest[name]
	if last and last.version == version and last.box then
		return last.box
	end
	local box = tables.box(image)
	newest[name] = setmetatable({ version = version, box = box }, { __mode = "v" })
	queried[name] = queried[name] or setmetatable({}, { __mode = "k" })
	queried[name][box] = true
	return box
end

function sharetable.queryall(names)
	local found = {}
	for _, name in ipairs(names or tables.names(PREFIX)) do
		found[name] = sharetable.query(name)
	end
	return found
end

function sharetable.update(...)
	for _, name in ipairs { ... } do
		local image, version = tables.current(PREFIX .. name)
		for box in pairs(image and queried[name] or {}) do
			tables.update(box, image)
			newest[name] = setmetatable({ version = version, box = box }, { __mode = "v" })
		end
	end
end

return sharetable
