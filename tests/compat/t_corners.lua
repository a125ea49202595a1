-- Empty messages, forks of the main chunk, tokens that are false, timers that are looked at, and other corners.
local skynet = require "skynet"
local core = require "skynet.core"
local coroutine_of_skynet = require "skynet.coroutine"
require "skynet.manager"
local try = require "try"

local roles = {}

local function register_text()
	skynet.register_protocol {
		name = "text",
		id = skynet.PTYPE_TEXT,
		pack = function(text) return text end,
		unpack = skynet.tostring,
		dispatch = function(_, _, text) skynet.ret(text:upper()) end,
	}
end

function roles.shouter(answer)
	register_text()
	skynet.start(function()
		skynet.dispatch("lua", function() skynet.ret(answer == "false" and false or nil) end)
	end)
end

-- Tells in which order its main chunk, its forks and its start function ran.
function roles.forker(how)
	local order = {}
	local function note(word) order[#order + 1] = word end
	skynet.fork(note, "fork")
	skynet.fork(function() note "function" end)
	if how == "timer" then skynet.timeout(0, function() note "timer" end) end
	note "chunk"
	skynet.start(function()
		note "start"
		skynet.dispatch("lua", function() skynet.retpack(table.concat(order, " ")) end)
		skynet.sleep(1)
		note "slept"
	end)
end

function roles.failing_forker()
	skynet.fork(skynet.error, "a fork of one that does not start")
	skynet.start(function() error "no start" end)
end

-- Counts what the module holds before anything of it is used.
function roles.counter()
	local n = 0
	for _ in next, skynet do n = n + 1 end
	skynet.start(function()
		skynet.dispatch("lua", function() skynet.retpack(n) end)
	end)
end

function roles.tiny()
	skynet.memlimit(1)
	skynet.start(function() end)
end

-- Forks without end, within a limit.
function roles.stormy()
	skynet.memlimit(4 << 20)
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, cmd)
			while cmd == "storm" do
				skynet.fork(function() skynet.sleep(1000) end)
			end
			skynet.retpack "calm"
		end)
	end)
end

if try.role(roles, ...) then return end

local function count(...) return select("#", ...) end

try.main(function()
	register_text()

	try.case("an empty message is an empty string", function()
		local s = try.start "shouter"
		try.equal(skynet.call(s, "text", ""), "")
		try.equal(skynet.call(s, "text", "word"), "WORD")
		try.equal(skynet.tostring(skynet.rawcall(s, "lua", "")), "")
		try.equal(skynet.tostring(skynet.pack()), "")
		try.equal(count(skynet.tostring(nil)), 0)
		try.equal(count(skynet.tostring()), 0)
	end)

	try.case("forks of the main chunk begin when the first message has been handled", function()
		try.equal(skynet.call(try.start "forker", "lua"), "chunk start fork function slept")
		try.equal(skynet.call(try.start("forker", "timer"), "lua"), "chunk timer fork function start slept")
		local log = try.log()
		try.equal(pcall(try.start, "failing_forker"), false)
		try.until_true(function() return log.find "no start" end)
		skynet.sleep(2)
		try.equal(log.find "a fork of one that does not start", nil)
	end)

	try.case("false is no token", function()
		local co, woken = coroutine.running(), {}
		local function wake_later()
			skynet.fork(function()
				skynet.sleep(1)
				woken[#woken + 1] = skynet.wakeup(false) or false
				woken[#woken + 1] = skynet.wakeup(co)
			end)
		end
		wake_later()
		skynet.wait(false)
		wake_later()
		try.equal(skynet.sleep(100, false), "BREAK")
		try.values({ false, true, false, true }, table.unpack(woken))
	end)

	try.case("a timer shows as a thread, one that was cancelled as BREAK", function()
		local function shown()
			local tasks = {}
			skynet.task(tasks)
			local threads, breaks = 0, 0
			for name, trace in pairs(tasks) do
				if name:find "^thread: 0x%x+ session: %d+$" and trace:find "^stack traceback:" then threads = threads + 1 end
				if name:find "^BREAK session: %d+$" and trace == "BREAK" then breaks = breaks + 1 end
			end
			return threads, breaks
		end
		local threads, breaks = shown()
		local me = coroutine.running()
		skynet.timeout(100, function() error "killed" end)
		skynet.fork(function() skynet.wakeup(me) end)
		skynet.sleep(100)
		local more_threads, more_breaks = shown()
		try.equal(more_threads, threads + 1)
		try.equal(more_breaks, breaks + 1)
	end)

	try.ours("a timer that shows as a thread can be killed", function()
		local has_fired
		for _, traced in ipairs { false, true } do
			for _, func in ipairs { function() has_fired = true end, setmetatable({}, { __call = function() has_fired = true end }) } do
				local before, after, name = {}, {}, nil
				skynet.task(before)
				skynet.trace_timeout(traced)
				skynet.timeout(2, func)
				skynet.trace_timeout(false)
				skynet.task(after)
				for key in pairs(after) do
					if not before[key] then name = key end
				end
				local thread, session = name:match "^(thread: 0x%x+) session: (%d+)$"
				try.equal(skynet.task(tonumber(session)), after[name])
				try.contains(after[name], traced and "t_corners.lua" or "stack traceback:")
				try.contains(next(skynet.uniqtask()), "sessions:")
				try.equal(skynet.killthread(thread), thread)
				try.equal(skynet.killthread(thread), nil)
			end
		end
		skynet.sleep(4)
		try.equal(has_fired, nil)
	end)

	try.case("redirect draws a session when none is given, and sends in one's own name for source 0", function()
		local seen = {}
		skynet.dispatch("lua", function(session, source, word) seen[word] = { session, source } skynet.ignoreret() end)
		local session = core.redirect(skynet.self(), skynet.self(), skynet.PTYPE_LUA, nil, skynet.packstring "nil")
		try.equal(math.type(session), "integer")
		core.redirect(skynet.self(), 0, skynet.PTYPE_LUA, 0, skynet.packstring "zero")
		try.until_true(function() return seen["nil"] and seen.zero end)
		try.equal(seen["nil"][1], session)
		try.equal(seen.zero[2], skynet.self())
	end)

	try.case("a message is a string or a pointer with its size", function()
		for _, f in ipairs { core.send, core.redirect } do
			local arguments = f == core.send and { skynet.self(), 10, 0 } or { skynet.self(), skynet.self(), 10, 0 }
			local n = #arguments
			try.raises("invalid param no value", f, table.unpack(arguments, 1, n))
			arguments[n + 1] = nil
			try.raises("invalid param nil", function() f(table.unpack(arguments, 1, n + 1)) end)
			try.raises("invalid param table", f, table.unpack(table.move({ {} }, 1, 1, n + 1, arguments), 1, n + 1))
		end
		try.raises("invalid param nil", skynet.rawsend, skynet.self(), "text")
		try.raises("invalid param nil", skynet.send, skynet.self(), "text")
		local message, size = skynet.pack(1)
		for _, f in ipairs { skynet.tostring, skynet.unpack, skynet.trash } do
			try.raises("number expected, got no value", f, message)
		end
		skynet.trash(message, size)
	end)

	try.case("an answer of false is an empty one", function()
		local s = try.start("shouter", "false")
		try.equal(skynet.tostring(skynet.rawcall(s, "lua", "")), "")
	end)

	try.case("how many results there are", function()
		try.equal(count(coroutine_of_skynet.wrap(function() end)()), 0)
		try.equal(count(coroutine_of_skynet.wrap(function() skynet.sleep(1) end)()), 0)
		local datacenter = require "skynet.datacenter"
		try.equal(count(datacenter.set("corner", 1)), 0)
		try.values({ 1 }, datacenter.set("corner", 2))
		try.values({ 2 }, datacenter.set "corner")
		try.equal(datacenter.get "corner", nil)
		try.values({ nil, n = 1 }, datacenter.set "no_such_corner")
		try.values({ nil, n = 1 }, datacenter.set("no_such_corner", nil))
		try.values({ nil, n = 1 }, skynet.call(try.start "shouter", "debug", "INFO"))
		try.equal(count(skynet.launch "no_such_service"), 0)
	end)

	try.case("a request set takes tables", function()
		try.raises("assertion failed!", skynet.request, 5)
		local set = skynet.request()
		try.raises("assertion failed!", set.add, set, 5)
		try.raises("assertion failed!", set.add, set, nil)
	end)

	try.case("names and addresses", function()
		local self = skynet.self()
		skynet.register ".corner"
		try.equal(require "skynet.harbor".queryname ".corner", self)
		try.equal(require "skynet.harbor".queryname ".no_such_name", nil)
		try.equal(core.addresscommand("QUERY", ".corner"), self)
		local address = skynet.address(try.start "shouter")
		try.equal(skynet.call((address:gsub(":", ":0x")), "text", "a"), "A")
	end)

	try.ours("the tables that each service has are no larger than they must be", function()
		local function fields(t) local n = 0 for _ in next, t do n = n + 1 end return n end
		try.equal(fields(core) <= 32, true, "skynet.core")
		local words = skynet.call(try.start "counter", "lua")
		try.equal(words <= 64, true, "skynet")
	end)

	try.ours("a limit that is too small for the start fails it", function()
		try.raises("call failed", try.start, "tiny")
	end)

	try.ours("forks for which there is no memory are dropped", function()
		local s, log = try.start "stormy", try.log()
		try.raises("call failed", skynet.call, s, "lua", "storm")
		try.equal(skynet.call(s, "lua", "ask"), "calm")
		try.until_true(function() return log.find "lua memory error : [" end)
	end)

	try.ours("wrong options of a service are raised where they are given", function()
		local fulmar = require "fulmar"
		for options, part in pairs {
			[{ mailbox = 0 }] = "from 1 on",
			[{ mailbox = 1.5 }] = "from 1 on",
			[{ mailbox = "3" }] = "from 1 on",
			[{ mailbox = 3, policy = "x" }] = "policy is",
			[{ policy = "reject" }] = "a mailbox with a limit",
			[{ worker = 0 }] = "from 1 on",
			[{ worker = 1, thread = true }] = "not both",
			[{ thread = 1 }] = "true or false",
			[{ mailboks = 3 }] = "no option mailboks",
			[{ 1 }] = "no option number",
			[5] = "are a table",
		} do
			try.raises(part, fulmar.newservice, options, SERVICE_NAME, "shouter")
		end
		try.raises("call failed", fulmar.newservice, { worker = 1024 }, SERVICE_NAME, "shouter")
	end)

	try.ours("memory counts the heap of a service", function()
		local memory = require "skynet.memory"
		collectgarbage()
		local before = memory.current()
		local text = ("x"):rep(1000000)
		try.equal(memory.current() >= before + 900000, true, "the string counts")
		skynet.sleep(1)
		try.equal(memory.info()[skynet.self()] >= #text, true, "and in the list")
		try.equal(memory.info()[skynet.localname ".launcher"] > 10000, true, "of which others are")
		try.equal(memory.total() >= memory.info()[skynet.self()], true, "as is the sum")
	end)
end)
