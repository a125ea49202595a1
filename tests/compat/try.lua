--- try: cases of a test program. Each runs in a coroutine of its own under a limit; `finish` prints what failed, then
--- "N passed, M failed", and ends the node.
local skynet = require "skynet"
require "skynet.manager"

local try = {}
local passed, failed = 0, {}
local LIMIT = 2000	-- centiseconds, for one case; see try.limit

try.on_fulmar = skynet.getenv "engine" == "fulmar"

function try.limit(cs) LIMIT = cs end

local function show(v)
	if type(v) == "string" then return ("%q"):format(v) end
	if type(v) ~= "table" then return tostring(v) end
	local words = {}
	for k, e in pairs(v) do words[#words + 1] = tostring(k) .. "=" .. tostring(e) end
	table.sort(words)
	return "{" .. table.concat(words, ", ") .. "}"
end

local function complain(what, text)
	error((what and what .. ": " or "") .. text, 3)
end

function try.equal(got, want, what)
	if got ~= want or math.type(got) ~= math.type(want) then
		complain(what, ("got %s, want %s"):format(show(got), show(want)))
	end
	return got
end

function try.yes(v, what)
	if not v then complain(what, "got " .. show(v)) end
	return v
end

function try.no(v, what)
	if v then complain(what, "got " .. show(v)) end
end

--- The values of a call, all of them: try.values({ 1, nil, n = 2 }, f())
function try.values(want, ...)
	local got = table.pack(...)
	local n = want.n or #want
	if got.n ~= n then complain(nil, ("got %d values, want %d"):format(got.n, n)) end
	for i = 1, n do
		if got[i] ~= want[i] then complain("value " .. i, ("got %s, want %s"):format(show(got[i]), show(want[i]))) end
	end
end

function try.matches(text, pattern, what)
	if type(text) ~= "string" or not text:find(pattern) then
		complain(what, ("%s does not match %s"):format(show(text), pattern))
	end
	return text
end

function try.contains(text, part, what)
	if type(text) ~= "string" or not text:find(part, 1, true) then
		complain(what, ("%s is not in %s"):format(show(part), show(text)))
	end
	return text
end

--- f(...) must raise a string with `part` in it; returns the string.
function try.raises(part, f, ...)
	local ok, err = pcall(f, ...)
	if ok then complain(nil, "no error, want " .. show(part)) end
	if type(err) ~= "string" then complain(nil, "the error is no string but " .. type(err)) end
	if not err:find(part, 1, true) then complain(nil, ("the error is %s, want %s in it"):format(show(err), show(part))) end
	return err
end

--- The same, and the string must begin with the place of the error: "<file>:<line>: ".
function try.raises_at(part, f, ...)
	local ok, err = pcall(f, ...)
	if ok then complain(nil, "no error, want " .. show(part)) end
	if type(err) ~= "string" or not err:find("^[^\n]-:%d+: ") then complain(nil, "no file and line in " .. show(err)) end
	if not err:find(part, 1, true) then complain(nil, ("the error is %s, want %s in it"):format(show(err), show(part))) end
	return err
end

--- Waits until f() gives a true value, and returns it.
function try.until_true(f, what)
	local last = skynet.now() + LIMIT // 2
	while true do
		local v = f()
		if v then return v end
		if skynet.now() > last then complain(what, "did not come true") end
		skynet.sleep(1)
	end
end

--- Runs f(...) in a fork: returns a function that waits for the end, for `limit` centiseconds when given, and gives pcall's
--- results.
function try.later(f, ...)
	local results, token
	skynet.fork(function(...)
		results = table.pack(pcall(f, ...))
		if token then skynet.wakeup(token) end
	end, ...)
	return function(limit)
		if not results then
			token = {}
			-- a timer would be a message under way, which census counts
			if limit then skynet.sleep(limit, token) else skynet.wait(token) end
			token = nil
		end
		if not results then error("still waiting", 2) end
		return table.unpack(results, 1, results.n)
	end
end

--- try.log(): a mark in the log. mark.wait(text) waits for a line with `text` since the mark and returns it, mark.find(text)
--- only looks. A service's own lines are in the log before its question is: find is exact for them.
function try.log()
	local first = skynet.call(".logger", "lua", "count") + 1
	return {
		wait = function(text)
			local ok, line = try.later(skynet.call, ".logger", "lua", "wait", first, text)()
			if not ok then error(line, 2) end
			return line
		end,
		find = function(text) return skynet.call(".logger", "lua", "find", first, text) end,
	}
end

function try.case(name, f)
	local ended, ok, err
	local token = {}
	local co = skynet.fork(function()
		ok, err = xpcall(f, function(e) return type(e) == "string" and e or debug.traceback(tostring(e)) end)
		ended = true
		skynet.wakeup(token)
	end)
	if not ended then skynet.sleep(LIMIT, token) end
	if ended and ok then
		passed = passed + 1
	else
		local why = ended and err or "still running: " .. debug.traceback(co)
		failed[#failed + 1] = ("FAIL %s: %s"):format(name, why)
	end
end

--- A case where Fulmar answers and skynet leaves its caller waiting, or worse.
function try.ours(name, f)
	if try.on_fulmar then try.case(name, f) end
end

function try.finish()
	skynet.call(".logger", "lua", "count")	-- the lines before this are written
	failed[#failed + 1] = ("%d passed, %d failed\n"):format(passed, #failed)
	io.stdout:write(table.concat(failed, "\n"))
	io.stdout:flush()
	skynet.abort()
end

--- try.main(f): the body of the program. The words after the program's name choose another role, see try.role.
function try.main(f)
	skynet.start(function()
		skynet.fork(function()
			local ok, err = xpcall(f, debug.traceback)
			if not ok then failed[#failed + 1] = "FAIL (program): " .. tostring(err) end
			try.finish()
		end)
	end)
end

--- A program starts itself again as the services it needs: if try.role(roles, ...) then return end
function try.role(roles, name, ...)
	if not name then return false end
	assert(roles[name], "no such role")(...)
	return true
end

--- A service of this program in that role.
function try.start(role, ...)
	return assert(skynet.newservice(SERVICE_NAME, role, ...), "the service is gone")
end

return try
