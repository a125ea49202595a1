-- fulmar.announce: the half of a service that owns named tables. It publishes them, and answers those who wait for the next
-- version of one; what they then read they find in the node's registry, all of it as of one moment.
local skynet = require "skynet"
local tables = require "fulmar.tables"

-- `prefix` goes in front of the names in the registry.
return function(prefix)
	local announce = {}
	local waiting = {}	-- name -> array of answers

	-- Publishes { name = image, or false to take the name away } in one step.
	function announce.publish(batch)
		local list, n = {}, 0
		for name, image in pairs(batch) do
			list[n + 1], list[n + 2] = prefix .. name, image or nil
			n = n + 2
		end
		tables.publish(table.unpack(list, 1, n))
		for name in pairs(batch) do
			skynet.fork(announce.changed, name)	-- the writer is answered first
		end
	end

	-- Answers those who wait for a version of `name`.
	function announce.changed(name)
		local answers = waiting[name]
		waiting[name] = nil
		local version = announce.version(name)
		for _, answer in ipairs(answers or {}) do
			answer(true, version)
		end
	end

	-- nil: there is no such table
	function announce.version(name)
		return tables.version(prefix .. name)
	end

	function announce.query(name)
		return announce.version(name) or error(("no table %s"):format(name), 0)
	end

	-- Returns an answer at once when `version` is not the newest, else nothing: the answer comes with the next one.
	function announce.monitor(name, version)
		local newest = announce.version(name)
		if newest ~= version then
			return true, newest
		end
		waiting[name] = waiting[name] or {}
		table.insert(waiting[name], skynet.response())
	end

	-- How many wait, by name.
	function announce.waiting()
		local counts = {}
		for name, answers in pairs(waiting) do
			counts[name] = #answers
		end
		return counts
	end

	return announce
end
