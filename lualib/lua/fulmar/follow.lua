-- fulmar.follow: boxes of named tables that follow what is published under their names.
local skynet = require "skynet"
local tables = require "fulmar.tables"
local published = require "fulmar.published"

-- `prefix` goes in front of the names in the registry; `monitor(name, version)` waits until there is another version and returns
-- it, nil when the name is gone.
return function(prefix, monitor)
	local follow = {}
	local boxes = setmetatable({}, { __mode = "v" })	-- name -> box
	local following = {}	-- name -> a coroutine waits for its next version
	local listeners = {}	-- name -> array of functions

	local function tell(name, old)
		local keys = tables.changed((tables.current(prefix .. name)), old)
		for _, listener in ipairs(listeners[name]) do
			skynet.fork(listener, keys, boxes[name])
		end
	end

	-- Moves all boxes to the newest versions in one step, so that nobody sees one old and one new.
	function follow.refresh()
		local replaced = tables.refresh(boxes, prefix, listeners)
		if not replaced then
			return	-- and leave no garbage: thousands of services do this at once
		end
		for name, old in pairs(replaced) do
			if tables.version(prefix .. name) then
				tell(name, old)
			end
		end
	end

	-- Waits for another version without the service that answers `monitor`: it has ended, and whoever publishes next may do without
	-- it too.
	local function wait(name, version)
		while true do
			local seen = tables.version()
			local newest = tables.version(prefix .. name)
			if newest ~= version then
				return newest
			end
			published(seen)
		end
	end

	local function keep_up(name, version)
		while boxes[name] do
			local ok, newest = pcall(monitor, name, version)
			if not ok then
				newest = wait(name, version)
			end
			version = newest
			if not version then
				boxes[name] = nil	-- whoever holds it keeps its last content
				break
			end
			follow.refresh()
		end
		following[name] = nil
	end

	-- The box of a name; `ask(name)` returns its version, or raises.
	function follow.query(name, ask)
		local box = boxes[name]
		if box then
			return box
		end
		ask(name)
		box = boxes[name]	-- another coroutine may have been faster
		if box then
			return box
		end
		local image, version = tables.current(prefix .. name)
		box = tables.box(image or error(("no table %s"):format(name)))
		boxes[name] = box
		follow.refresh()
		if not following[name] then
			following[name] = true
			skynet.fork(keep_up, name, version)
		end
		return box
	end

	-- Calls `listener(changed keys, box)` after each update of a box that this service holds.
	function follow.listen(name, listener)
		if type(listener) ~= "function" then
			error(("bad argument #2 to 'listen' (function expected, got %s)"):format(type(listener)), 2)
		end
		listeners[name] = listeners[name] or {}
		table.insert(listeners[name], listener)
	end

	return follow
end
