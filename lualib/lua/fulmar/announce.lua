-- fulmar.announce: the half of a service that owns named tables. It publishes them, and answers those who wait for the next
-- version of one, whoever publishes it; what they then read they find in the node's registry, all of it as of one moment.
local skynet = require "skynet"
local tables = require "fulmar.tables"
local published = require "fulmar.published"

-- `prefix` goes in front of the names in the registry.
return function(prefix)
	local announce = {}
	local waiting = {}	-- name -> { version that they have, array of answers }
	local watching = false

	-- Publishes { name = image, or false to take the name away } in one step.
	function announce.publish(batch)
		local list, n = {}, 0
		for name, image in pairs(batch) do
			list[n + 1], list[n + 2] = prefix .. name, image or nil
			n = n + 2
		end
		tables.publish(table.unpack(list, 1, n))
	end

	-- nil: there is no such table
	function announce.version(name)
		return tables.version(prefix .. name)
	end

	function announce.query(name)
		return announce.version(name) or error(("no table %s"):format(name), 0)
	end

	-- Answers whoever waits for a name that has another version now.
	local function tell()
		for name, list in pairs(waiting) do
			local version = announce.version(name)
			if version ~= list.version then
				waiting[name] = nil
				for _, answer in ipairs(list) do
					answer(true, version)
				end
			end
		end
	end

	local function keep_watch()
		while true do
			local seen = tables.version()
			tell()
			if not next(waiting) then
				break
			end
			published(seen)
		end
		watching = false
	end

	-- Returns an answer at once when `version` is not the newest, else nothing: the answer comes with the next one.
	function announce.monitor(name, version)
		local newest = announce.version(name)
		if newest ~= version then
			return true, newest
		end
		local list = waiting[name] or { version = version }
		waiting[name] = list
		table.insert(list, skynet.response())
		if not watching then
			watching = true
			skynet.fork(keep_watch)
		end
	end

	-- How many wait, by name.
	function announce.waiting()
		local counts = {}
		for name, list in pairs(waiting) do
			counts[name] = #list
		end
		return counts
	end

	return announce
end
