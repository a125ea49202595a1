-- What a program may do to the threads of its own tasks by mistake: the service goes on.
local skynet = require "skynet"
local profile = require "skynet.profile"
local try = require "try"

try.main(function()
	try.case("a task whose plain coroutine waits cannot kill itself", function()
		local alive
		skynet.fork(function()
			coroutine.wrap(function() skynet.sleep(100) end)()
			skynet.killthread(coroutine.running())
			alive = true
		end)
		skynet.sleep(1)
		try.yes(alive)
	end)

	try.case("a fork that was closed never starts", function()
		local started
		coroutine.close(skynet.fork(function() started = true end, 1))
		skynet.sleep(1)
		try.no(started)
	end)

	try.case("an error keeps its text when finalizers raise meanwhile", function()
		local function raise_later()
			setmetatable({}, { __gc = function() pcall(skynet.trash, io.stdout) end })
		end
		for _ = 1, 20000 do
			raise_later()
			local _, err = pcall(skynet.setenv, "thread", 1)
			try.contains(err, "Can't setenv exist key : thread")
		end
	end)

	try.case("the first slice of a profiled task counts", function()
		profile.start()
		local sum = 0
		for i = 1, 1e6 do sum = sum + i end
		skynet.yield()
		local first = profile.stop()
		profile.start()
		skynet.yield()
		try.yes(first > profile.stop())
	end)
end)
