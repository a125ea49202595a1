-- skynet.queue: critical sections. cs = queue(); cs(f, ...) runs f(...) while no other coroutine is inside, first come,
-- first served. The coroutine that is inside may enter again.
local skynet = require "skynet"
local coroutine_running = coroutine.running
local traceback = debug.traceback

-- The turns of a section form a list: section.turn is inside, section.last came last. A turn leaves when it is closed,
-- also when its coroutine is killed, inside or waiting. One that has been inside is used again.
local turn_meta = {}

function turn_meta:__close()
	local section = self.section
	if section.turn ~= self then
		self.gone = true
		return
	end
	local turn = self.next
	while turn and turn.gone do
		turn = turn.next
	end
	self.next = nil
	section.turn, section.spare = turn, self
	if turn then
		skynet.wakeup(turn)
	end
end

local function join(section, thread)
	local turn = section.spare
	if turn then
		section.spare = nil
	else
		turn = setmetatable({ section = section }, turn_meta)
	end
	turn.thread = thread
	if section.turn then
		section.last.next = turn
	else
		section.turn = turn
	end
	section.last = turn
	return turn
end

local function result(ok, ...)
	if not ok then
		error(..., 0)
	end
	return ...
end

function skynet.queue()
	local section = {}
	return function(f, ...)
		local thread, inside = coroutine_running(), section.turn
		if inside and inside.thread == thread then
			return result(xpcall(f, traceback, ...))
		end
		local turn <close> = join(section, thread)
		while section.turn ~= turn do
			skynet.wait(turn)
		end
		return result(xpcall(f, traceback, ...))
	end
end

return skynet.queue
