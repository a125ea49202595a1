-- skynet.sharemap: a record with one writer and any number of readers. Its fields are those of a sproto type; what is published is
-- its encoding, in a box of skynet.stm.
local stm = require "skynet.stm"
local boxes = require "skynet.stm.core"
local core = require "sproto.core"
local loader = require "sprotoloader"

local encode, decode = core.encode, core.decode

local sharemap = {}

-- The place of sprotoloader that has the types.
local PLACE = 0

-- Once per node.
function sharemap.register(protofile)
	loader.register(protofile, PLACE)
end

local function querytype(typename)
	local type = core.querytype(core.loadproto(PLACE), typename)
	if not type then
		error("type not found", 3)
	end
	return type
end

-- A place for one reader, to be sent to it.
function sharemap.copy(writer)
	return stm.copy(writer.__obj)
end

-- Publishes the fields as they are. A writer's own `commit` knows its box, its type and its fields.
function sharemap.commit(writer)
	writer:commit()
end

function sharemap.writer(typename, obj)
	local data = obj or {}
	local type = querytype(typename)
	local box = stm.new(encode(type, data))
	return setmetatable({
		__typename = typename,
		__data = data,
		__obj = box,
		commit = boxes.committer(box, type, data),
		copy = sharemap.copy,
	}, { __index = data, __newindex = data })
end

-- Takes what was committed last: true when that is new. A reader's own `update` knows its box and its fields.
function sharemap.update(reader)
	return reader:update()
end

-- Waits for a commit that this reader has not taken, for `ti` centiseconds at most. Not a method: records have fields of any name.
function sharemap.wait(reader, ti)
	return reader.__obj:wait(ti)
end

local function refuse(_, key)
	error(("attempt to write field '%s' of a sharemap reader"):format(key), 2)
end

function sharemap.reader(typename, stmcpy)
	local data = {}
	local type = querytype(typename)
	local box = stm.newcopy(stmcpy)
	local function fill(msg, sz)
		for key in next, data do
			data[key] = nil
		end
		return decode(type, msg, sz, data)
	end
	local reader = setmetatable({
		__typename = typename,
		__data = data,
		__obj = box,
		update = boxes.updater(box, fill),
	}, { __index = data, __newindex = refuse })
	reader:update()
	return reader
end

return sharemap
