-- datacenterd: a tree of values for all nodes of a network (DATACENTER). A path is a list of keys.
local skynet = require "skynet"

local root = {}
local waiters = {}	-- array of { path, answer }
local command = {}

-- The value at path[first..last]; nil where the path leaves the tree.
local function lookup(node, path, first, last)
	for i = first, last do
		if type(node) ~= "table" then
			return nil
		end
		node = node[path[i]]
	end
	return node
end

-- How many keys two paths have in common at their beginning.
local function shared_keys(a, b)
	local n = 0
	while n < a.n and n < b.n and a[n + 1] == b[n + 1] do
		n = n + 1
	end
	return n
end

-- Answers those whose wait is over now that `value` is at `path`. Who waits at a place above it waits for a leaf where
-- there is a branch now; who waits below it gets what came with the value, and an error when that is nothing.
local function wake(path, value)
	local still = {}
	for _, waiter in ipairs(waiters) do
		local shared = shared_keys(path, waiter.path)
		if shared == path.n then
			local found = lookup(value, waiter.path, path.n + 1, waiter.path.n)
			waiter.answer(found ~= nil, found)
		elseif shared == waiter.path.n then
			waiter.answer(false)
		else
			still[#still + 1] = waiter
		end
	end
	waiters = still
end

function command.QUERY(...)
	local path = table.pack(...)
	local value = lookup(root, path, 1, path.n)
	if value ~= nil and path.n > 0 then
		skynet.retpack(value)
	else
		skynet.ret()
	end
end

function command.UPDATE(...)
	local path = table.pack(...)
	local value
	if path.n > 1 then
		value = path[path.n]
		path.n = path.n - 1
	end
	assert(path.n > 0, "a value needs a key")
	local node = root
	for i = 1, path.n - 1 do
		local child = node[path[i]]
		if child == nil then
			child = {}
			node[path[i]] = child
		elseif type(child) ~= "table" then
			error(("%s is a value, not a branch"):format(path[i]))
		end
		node = child
	end
	local old = node[path[path.n]]
	node[path[path.n]] = value
	if value ~= nil then
		wake(path, value)
	end
	if old == nil and value ~= nil then
		return skynet.ret()
	end
	skynet.retpack(old)
end

function command.WAIT(...)
	local path = table.pack(...)
	assert(path.n > 0, "nothing to wait for")
	local value = lookup(root, path, 1, path.n)
	if value ~= nil then
		return skynet.retpack(value)
	end
	for _, waiter in ipairs(waiters) do
		local shared = shared_keys(path, waiter.path)
		if path.n ~= waiter.path.n and (shared == path.n or shared == waiter.path.n) then
			error "someone waits for a value where this path has a branch"
		end
	end
	waiters[#waiters + 1] = { path = path, answer = skynet.response() }
end

skynet.dispatch("lua", function(_, _, name, ...)
	local f = command[name]
	if not f then
		error(("Invalid command %s"):format(name))
	end
	f(...)
end)

skynet.start(function() end)
