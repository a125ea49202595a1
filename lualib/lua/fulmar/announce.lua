-- fulmar.announce: the half of a service that owns named tables. It publishes them, and answers those who wait for the next
-- version of one, whoever publishes it; what they then read they find in the node's registry, all of it as of one moment.
local skynet = require "skynet"
local tables = require "fulmar.tables"
local published = require "fulmar.published"

local RETRY <const> = 10	-- centiseconds

-- `prefix` goes in front of the names in the registry.
return function(prefix)
	local announce = {}
	local waiting = {}	-- name -> { version that they have, array of answers }
	local watching = false
	local alarm = false	-- `come_back` will be called

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

	local tell, watch

	-- Both of them need memory for messages, which may be used up. Then they are tried again.
	local function come_back()
		alarm = false
		tell()
		watch()
	end

	local function set_alarm()
		alarm = alarm or pcall(skynet.timeout, RETRY, come_back)
	end

	-- Answers whoever waits for a name that has another version now. An answer that fails stays owed.
	function tell()
		for name, list in pairs(waiting) do
			local version = announce.version(name)
			if version ~= list.version then
				set_alarm()	-- first, while there is room for it: the message that has brought us here has left some
				local owed = { version = list.version }
				for _, answer in ipairs(list) do
					if not pcall(answer, true, version) then
						table.insert(owed, answer)
					end
				end
				waiting[name] = owed[1] and owed
			end
		end
	end

	local function keep_watch()
		while next(waiting) do
			local seen = tables.version()
			tell()
			if next(waiting) then
				published(seen)
			end
		end
	end

	function watch()
		if watching or not next(waiting) then
			return
		end
		watching = true
		skynet.fork(function()
			local ok, err = pcall(keep_watch)
			watching = false
			if not ok then
				set_alarm()
				skynet.error(err)
			end
		end)
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
		watch()
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
