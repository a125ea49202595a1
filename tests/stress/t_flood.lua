-- Floods: many senders to one, all counted and each sender's in order; the overload is reported; memory comes back.
local skynet = require "skynet"
local memory = require "skynet.memory"
local try = require "try"

local SCALE = tonumber(os.getenv "SCALE")
local SENDERS, EACH = 8, 10000 * SCALE

local roles = {}

function roles.sink()
	local last, count, bytes = {}, 0, 0
	local done
	skynet.start(function()
		skynet.dispatch("lua", function(_, source, cmd, n, payload)
			if cmd == "item" then
				if n ~= (last[source] or 0) + 1 then error(("%d after %d"):format(n, last[source] or 0)) end
				last[source] = n
				count = count + 1
				bytes = bytes + #payload
				if count == SENDERS * EACH and done then done(true, count, bytes) end
			elseif cmd == "wait" then
				done = skynet.response()
				if count == SENDERS * EACH then done(true, count, bytes) end
			end
		end)
	end)
end

function roles.source()
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, sink, payload)
			skynet.ignoreret()
			for n = 1, EACH do skynet.send(sink, "lua", "item", n, payload) end
		end)
	end)
end

if try.role(roles, ...) then return end

try.limit(5500)
try.main(function()
	for _, size in ipairs { 10, 3000 } do
		try.case("payloads of " .. size, function()
			local log = try.log()
			local before = memory.block()
			local sink, sources = try.start "sink", {}
			for i = 1, SENDERS do sources[i] = try.start "source" end
			local payload = ("p"):rep(size)
			for i = 1, SENDERS do skynet.send(sources[i], "lua", sink, payload) end
			local count, bytes = skynet.call(sink, "lua", "wait")
			try.equal(count, SENDERS * EACH)
			try.equal(bytes, SENDERS * EACH * size)
			try.no(log.find "lua call [", "an error in the sink")
			skynet.send(sink, "debug", "EXIT")
			for i = 1, SENDERS do skynet.send(sources[i], "debug", "EXIT") end
			try.until_true(function()
				collectgarbage()
				return memory.block() <= before + 20
			end, "the blocks come back")
		end)
	end

	try.case("a service that floods itself while it works is told so", function()
		local log = try.log()
		local n = 0
		skynet.dispatch("lua", function() n = n + 1 end)
		for _ = 1, 5000 do skynet.send(skynet.self(), "lua", "x") end
		try.until_true(function() return n == 5000 end)
		log.wait(("[%s] error: May overload, message queue length = "):format(skynet.address(skynet.self())))
	end)
end)
