-- skynet.sharedata.corelib: shared tables without names, counted by hand as skynet's are. What is not referred to any more is freed by
-- the garbage collector, whatever its count says.
local tables = require "fulmar.tables"

local host = {}
local corelib = { host = host }

local references = setmetatable({}, { __mode = "k" })	-- cobj -> count
local dirty = setmetatable({}, { __mode = "k" })	-- cobj -> it may be replaced
local shown = setmetatable({}, { __mode = "k" })	-- box -> cobj

function host.new(t)
	local cobj = tables.build(t)
	references[cobj] = 0
	return cobj
end

function host.delete(cobj)
	references[cobj] = nil
end

function host.getref(cobj)
	return references[cobj]
end

function host.incref(cobj)
	references[cobj] = references[cobj] + 1
	return references[cobj]
end

function host.decref(cobj)
	references[cobj] = references[cobj] - 1
	return references[cobj]
end

function host.markdirty(cobj)
	dirty[cobj] = true
end

function corelib.box(cobj)
	local box = tables.box(cobj)
	shown[box] = cobj
	host.incref(cobj)
	return box
end

function corelib.update(box, cobj)
	local old = shown[box]
	if not dirty[old] then
		error "Only dirty object can be update"
	end
	tables.update(box, cobj)
	shown[box] = cobj
	host.incref(cobj)
	host.decref(old)
end

function corelib.flush(_box)
	collectgarbage()
end

corelib.copy = tables.copy
corelib.next = tables.next

return corelib
