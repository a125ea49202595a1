-- skynet.request: several calls at once; the answers come as they arrive, within a time limit.
local skynet = require "skynet"
local core = require "skynet.core"

local protocols = core.protocols

local set = {}
set.__index = set

function set:add(obj)
	assert(type(obj) == "table" and self.sessions == nil)
	self[#self + 1] = obj
	return self
end

set.__call = set.add

-- Sends everything. Answers collect in self.answers; the loop sleeps with the set itself as its token.
local function send_all(self)
	self.sessions, self.answers, self.failed = {}, {}, {}
	self.pending = 0
	for _, obj in ipairs(self) do
		local class = assert(protocols[obj[2]])
		local session
		session = core.expect(function(ok, msg, sz)
			self.sessions[session] = nil
			self.pending = self.pending - 1
			local answer = { obj, false }
			table.insert(self.answers, answer)
			skynet.wakeup(self)
			if ok then
				answer[2] = table.pack(class.unpack(msg, sz))	-- what cannot be unpacked has failed
			end
		end, obj[1], obj[2], table.unpack(obj, 3, obj.n))
		if session then
			self.sessions[session] = true
			self.pending = self.pending + 1
		else
			table.insert(self.failed, obj)
		end
	end
end

local function next_answer(self)
	local obj = table.remove(self.failed)
	if obj then
		return obj, nil
	end
	while #self.answers == 0 do
		if self.pending == 0 then
			return
		end
		if self.deadline then
			local left = self.deadline - skynet.now()
			if left <= 0 or skynet.sleep(left, self) ~= "BREAK" then
				if #self.answers == 0 then
					self.timeout = true
					return
				end
			end
		else
			skynet.wait(self)
		end
	end
	local answer = table.remove(self.answers, 1)
	return answer[1], answer[2]
end

function set:select(timeout)
	assert(self.sessions == nil)
	send_all(self)
	if timeout then
		self.deadline = skynet.now() + timeout
	end
	return next_answer, self, nil, self
end

-- Drops what has not been answered.
function set:close()
	if self.sessions then
		for session in pairs(self.sessions) do
			core.cancel(session)
		end
		self.sessions, self.answers, self.failed, self.pending = {}, {}, {}, 0
	end
end

set.__close = set.close

return function(obj)
	local self = setmetatable({}, set)
	if obj then
		self:add(obj)
	end
	return self
end
