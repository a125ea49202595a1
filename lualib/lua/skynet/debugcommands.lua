-- skynet.debugcommands: what a service answers to the protocol "debug". Loaded by skynet.debug with the first message.
return function(skynet, export, info)
	local command = {}

	function command.MEM()
		skynet.retpack(collectgarbage "count")
	end

	local collecting = false

	-- Never answers. Requests that have queued up meanwhile are covered by this collection.
	function command.GC()
		if collecting then
			return skynet.ignoreret()
		end
		collecting = true
		local before, start = collectgarbage "count", skynet.now()
		collectgarbage "collect"
		local after, cost = collectgarbage "count", (skynet.now() - start) / 100
		skynet.yield()
		collecting = false
		skynet.error(("GC %.2f Kb -> %.2f Kb, cost %.2f sec"):format(before, after, cost))
	end

	function command.STAT()
		skynet.retpack {
			task = skynet.task(),
			mqlen = skynet.stat "mqlen",
			cpu = skynet.stat "cpu",
			message = skynet.stat "message",
		}
	end

	function command.TASK(session)
		if session then
			skynet.retpack(skynet.task(session))
		else
			local tasks = {}
			skynet.task(tasks)
			skynet.retpack(tasks)
		end
	end

	function command.UNIQTASK()
		skynet.retpack(skynet.uniqtask())
	end

	function command.KILLTASK(name)
		local thread = skynet.killthread(name)
		if thread then
			skynet.error(("Kill %s"):format(thread))
			skynet.ret()
		else
			skynet.error(("Kill %s : Not found"):format(name))
			skynet.retpack "Not found"
		end
	end

	function command.INFO(...)
		skynet.retpack(info(...))
	end

	function command.EXIT()
		skynet.exit()
	end

	function command.TERM(service)
		skynet.term(service)
	end

	function command.RUN(source, filename, ...)
		local inject = require "skynet.inject"
		local ok, output = inject(skynet, source, filename, table.pack(...), export.dispatch, skynet.register_protocol)
		collectgarbage "collect"
		skynet.retpack(ok, table.concat(output, "\n"))
	end

	function command.REMOTEDEBUG()
		error("REMOTEDEBUG is not part of this version", 0)
	end

	function command.SUPPORT(typename)
		skynet.retpack(skynet.dispatch(typename) ~= nil)
	end

	function command.PING()
		skynet.ret()
	end

	-- Answered by the end of this service: with an error.
	function command.LINK()
		skynet.response()
	end

	function command.TRACELOG(proto, flag)
		if type(proto) ~= "string" then
			proto, flag = "lua", proto
		end
		skynet.error(("Turn trace log %s for %s"):format(flag, proto))
		skynet.traceproto(proto, flag)
		skynet.ret()
	end

	return command
end
