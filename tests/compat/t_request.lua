-- skynet.request: several calls at once.
local skynet = require "skynet"
local try = require "try"

local roles = {}
function roles.server()
	skynet.start(function()
		local held = {}
		skynet.dispatch("lua", function(_, _, cmd, ...)
			if cmd == "hold" then
				held[#held + 1] = { skynet.response(), ... }
			elseif cmd == "release" then
				for _, h in ipairs(held) do h[1](true, h[2]) end
				held = {}
				skynet.retpack()
			elseif cmd == "fail" then
				error "asked to fail"
			else
				skynet.retpack(cmd, ...)
			end
		end)
	end)
end
if try.role(roles, ...) then return end

try.main(function()
	local s = try.start "server"
	local dead = try.start "server"
	skynet.kill(dead)

	try.case("an empty set ends at once", function()
		local reqs = skynet.request()
		for _ in reqs:select() do error "nothing was asked" end
		try.no(reqs.timeout)
	end)

	try.case("invalid addresses come first, the last added before the others, without an answer", function()
		local order = {}
		local reqs = skynet.request { s, "lua", "a", token = "live" }
		reqs { dead, "lua", "b", token = "dead 1" } { ".nobody", "lua", "c", token = "dead 2" }
		for req, resp in reqs:select() do
			order[#order + 1] = req.token
			if req.token == "live" then try.values({ "a" }, table.unpack(resp, 1, resp.n)) else try.equal(resp, nil) end
		end
		try.equal(table.concat(order, ","), "dead 2,dead 1,live")
	end)

	try.case("a failed request gives false, the others their values", function()
		local seen = {}
		local reqs = skynet.request()
		try.equal(reqs:add { s, "lua", "fail", token = 1 }, reqs)
		reqs:add { s, "lua", "x", nil, n = 4, token = 2 }
		for req, resp in reqs:select() do seen[req.token] = resp end
		try.equal(seen[1], false)
		try.equal(seen[2].n, 2)
		try.equal(seen[2][1], "x")
		try.equal(seen[2][2], nil)
	end)

	try.case("answers arriving while the body waits are kept", function()
		local reqs, seen = skynet.request(), {}
		for i = 1, 5 do reqs { s, "lua", i, token = i } end
		for req, resp in reqs:select() do
			try.equal(resp[1], req.token)
			seen[#seen + 1] = req.token
			skynet.call(s, "lua", "between")
		end
		table.sort(seen)
		try.equal(table.concat(seen, ","), "1,2,3,4,5")
	end)

	try.case("the timeout ends the loop and says so; a late answer disturbs nobody", function()
		local log = try.log()
		local reqs = skynet.request { s, "lua", "hold", "late" } { s, "lua", "quick" }
		local n = 0
		for _, resp in reqs:select(5) do
			n = n + 1
			try.equal(resp[1], "quick")
		end
		try.equal(n, 1)
		try.equal(reqs.timeout, true)
		skynet.call(s, "lua", "release")
		skynet.yield()
		try.no(log.find "Unknown session")
	end)

	try.case("everything answered in time: no timeout, and the timer disturbs nobody", function()
		local log = try.log()
		local reqs = skynet.request { s, "lua", "quick" }
		for _ in reqs:select(2) do end
		try.no(reqs.timeout)
		skynet.sleep(5)
		try.no(log.find "Unknown session")
	end)

	try.case("leaving the loop discards what is missing", function()
		local log = try.log()
		local reqs = skynet.request { s, "lua", "hold", 1 } { s, "lua", "quick" }
		for _ in reqs:select() do break end
		skynet.call(s, "lua", "release")
		skynet.yield()
		try.no(log.find "Unknown session")
		local failing = skynet.request { s, "lua", "hold", 1 } { s, "lua", "quick" }
		try.raises("out of here", function()
			for _ in failing:select() do error "out of here" end
		end)
		skynet.call(s, "lua", "release")
		skynet.yield()
		try.no(log.find "Unknown session")
	end)

	try.case("close does the same by hand", function()
		local log = try.log()
		local reqs = skynet.request { s, "lua", "hold", 1 }
		reqs:select()
		reqs:close()
		skynet.call(s, "lua", "release")
		skynet.yield()
		try.no(log.find "Unknown session")
	end)

	try.case("a set is selected once and closed to additions", function()
		local reqs = skynet.request { s, "lua", "x" }
		for _ in reqs:select() do end
		try.raises("", reqs.add, reqs, { s, "lua", "y" })
		try.raises("", reqs.select, reqs)
	end)

	try.case("a service that ends fails its requests only", function()
		local dying = try.start "server"
		local reqs = skynet.request { dying, "lua", "hold", 1, token = "dying" } { s, "lua", "ok", token = "live" }
		local seen = {}
		for req, resp in reqs:select() do
			seen[req.token] = resp
			if req.token == "live" then skynet.send(dying, "debug", "EXIT") end
		end
		try.equal(seen.dying, false)
		try.equal(seen.live[1], "ok")
	end)

	skynet.register_protocol {
		name = "unpackable", id = 113,
		pack = function() error "no way to pack" end,
		unpack = skynet.tostring,
	}

	try.case("a set whose packing raises is collected", function()
		local sets = setmetatable({}, { __mode = "v" })
		sets[1] = skynet.request { s, "unpackable", "x" }
		try.raises("no way to pack", sets[1].select, sets[1])
		collectgarbage()
		collectgarbage()
		try.equal(sets[1], nil)
	end)
end)
