-- Random programs of many coroutines, whose order of steps was recorded from skynet: the same program must take the same
-- steps. A program is drawn from a number; what is compared is a hash of its trace.
--   RECORD=1 prints the list below anew (on skynet).
local skynet = require "skynet"
local coroutines = require "skynet.coroutine"
local queue = require "skynet.queue"
local try = require "try"

-- hash of the traces of programs 1, 2, ...
local recorded = {
	0xe9e0dcb1, 0xa4813e3d, 0xfe82f00c, 0x0d6c4aa7, 0x160b880f, 0xb92e5961, 0x14b3f1d3, 0xaef56084, 0xc9876dbc, 0xad6dda09,
	0x9e2271d1, 0xd455a6f6, 0x02ef9a28, 0xdda9d8b9, 0x79d26d00, 0x338e52df, 0x5458f133, 0xb067d753, 0x895b0533, 0x7e68394c,
	0xdf6e320e, 0x5a482dca, 0xaf517f53, 0xdb3cd982, 0x5cfcfbb6, 0xf617f46e, 0xbe501b12, 0x9b3e87f7, 0x1fda027d, 0x4e8e8d44,
	0x33e8fa81, 0xabce6863, 0x8c16f513, 0x2d3f99c3, 0xe4b22128, 0xadd930a6, 0x7f821861, 0x011aa721, 0x8fbe4e7d, 0x334fdca0,
	0xc0d7bca6, 0xb4583506, 0x4ff16b4f, 0x137bda6f, 0x63cc1c98, 0xb70670bf, 0x5543117e, 0xe5b98e61, 0xf02f2157, 0x27d601bd,
	0xce1326ae, 0xe7024842, 0x23b0d2ed, 0xf4cc9507, 0x6d3adca8, 0x7da60487, 0xc5db6bc4, 0x3b487b29, 0x0d096ce9, 0xa53e5781,
	0x023c8736, 0x17f80f30, 0x70ff819d, 0x5962cc69, 0x7543a6e6, 0x149550f9, 0x67cf960b, 0x60634a8e, 0xcafa9662, 0xb5672e9f,
	0xc95b631b, 0x5ea02822, 0xd792963e, 0xe37c0019, 0x5eea23e0, 0x64688be2, 0x42d419ab, 0x3743ffdb, 0x53fc5aa8, 0x565ac66c,
	0xb6873100, 0x6296103e, 0x871d8168, 0x3da44c00, 0x2e1f935c, 0x153404a1, 0x3091a624, 0xe9aaa9d6, 0x5206038c, 0x960f14e7,
	0x50133d29, 0x2503ee30, 0xb39a9cf3, 0x597f504b, 0x1e3428d4, 0xba8e4993, 0xd4cecfcd, 0x684c6ad7, 0xc8359b9e, 0x38fb8ae4,
	0x4022482a, 0xfdb2bc61, 0x50abf07e, 0x7674015a, 0x96fc9377, 0x2a3e264c, 0x4096a675, 0xd1b8d69f, 0xccad4d55, 0x6a5c5abc,
	0x21c1c2b7, 0x1b4da500, 0x53bff8d9, 0x35621da1, 0x070d0a3e, 0xc19b8858, 0xb59a7117, 0x2e346097, 0x54e54224, 0x5f24193f,
	0x23c009a4, 0xd1e55c26, 0xb3c5f1f9, 0x1f510e76, 0x3538a9b1, 0x31cfa804, 0xf31422bd, 0x78740f3f, 0xd844f8fc, 0x984f65ef,
	0xb8bbd202, 0xf088267d, 0x64c5972e, 0xedda0a1b, 0x69c1cafa, 0xe34dc5dd, 0x86c5c9fc, 0xbe9e46b7, 0x479c013c, 0x935fb031,
	0xfcb4fae9, 0x814204fc, 0x7aa89681, 0x934c3633, 0xc3383f08, 0x8d7d0f42, 0x599bab7d, 0x4df4d6b1, 0x1f9a95ff, 0xa860ecdb,
	0x43da81f2, 0x6ea599a4, 0x068c9039, 0xdf043e4f, 0x69bc7cdf, 0xbbf54314, 0x41aa2b47, 0x62f0413e, 0x1cb33a7a, 0x4d8b6e14,
	0xa7c6882a, 0xef48bb4a, 0x24dd0741, 0x78f51107, 0xf945e684, 0x1031b85d, 0x07fc4bc3, 0x22934b68, 0x2c85686f, 0x46cbc966,
	0x809d1e4d, 0xd23f52c2, 0xd4e24154, 0x2c161517, 0x2729f911, 0xda533add, 0x43f984c2, 0x68220511, 0x3a48c6a1, 0x539773fd,
	0xda57f951, 0x1bd4d6b8, 0xd3ff2e31, 0xecfe7dbc, 0xb91a909a, 0xda2539b8, 0xfb2d95d1, 0x65e4ca6c, 0xeeb1deec, 0x7665b8e3,
	0xb192b79e, 0xcd575115, 0x18516674, 0xa2302465, 0xd444b0db, 0x074d89f5, 0x0c10eeed, 0xfee4ff49, 0x4ebba121, 0xba0083b1,
}

local random_state
local function random(n)
	random_state = random_state * 6364136223846793005 + 1442695040888963407
	return (random_state >> 33) % n + 1
end

local trace, running, made, section, asleep

local function note(...)
	local words = table.pack(...)
	for i = 1, words.n do words[i] = tostring(words[i]) end
	trace[#trace + 1] = table.concat(words, " ")
end

local body

local function spawn(how)
	if made == 100 then return end
	made = made + 1
	running = running + 1
	local id = made
	if how == "fork" then
		skynet.fork(body, id)
	elseif how == "timer" then
		skynet.timeout(0, function() body(id) end)
	else
		skynet.fork(function()
			local co = coroutines.create(body)
			repeat note("resumed", id, coroutines.resume(co, id)) until coroutines.status(co) == "dead"
		end)
	end
end

local steps = {
	function() spawn "fork" end,
	function() spawn "timer" end,
	function() spawn "coroutine" end,
	function() skynet.yield() end,
	function() skynet.wakeup("token " .. random(4)) end,
	function() skynet.wakeup("token " .. random(4)) end,
	function(id)
		local token = "token " .. random(4)
		if asleep[token] then return end
		asleep[token] = true
		note("slept", id, skynet.sleep(100000, token))
		asleep[token] = nil
	end,
	function(id) note("answer", skynet.call(skynet.self(), "lua", "at once", id)) end,
	function(id) note("answer", skynet.call(skynet.self(), "lua", "later", id)) end,
	function(id) note("failed", id, (pcall(skynet.call, skynet.self(), "lua", "error", id))) end,
	function(id) skynet.send(skynet.self(), "lua", "at once", id) end,
	function(id)
		note("section", section(function()
			note("inside", id)
			skynet.yield()
			return id
		end))
	end,
	function(id)
		note("section", id, (pcall(section, function()
			skynet.yield()
			error "leave it so"
		end)))
	end,
	function(id)
		local reqs = skynet.request()
		for i = 1, 3 do reqs { skynet.self(), "lua", i == 2 and "error" or "at once", id, i } end
		for _, resp in reqs:select() do note("of three", id, resp and resp[2]) end
	end,
	function(id) note("caught", id, (pcall(function() skynet.yield() error {} end))) end,
}

function body(id)
	local _ <close> = setmetatable({}, { __close = function() running = running - 1 end })
	for step = 1, random(6) do
		local kind = random(#steps)
		note(id, step, kind)
		steps[kind](id)
	end
	note("end", id)
end

local function run(number)
	random_state, trace, running, made, section, asleep = number, {}, 0, 0, queue(), {}
	for _ = 1, 4 do spawn "fork" end
	while running > 0 do
		for i = 1, 4 do
			if asleep["token " .. i] then skynet.wakeup("token " .. i) end
		end
		skynet.yield()
	end
	local hash = 0xcbf29ce484222325
	for i = 1, #trace do
		for _, byte in ipairs { (trace[i] .. "\n"):byte(1, -1) } do hash = (hash ~ byte) * 0x100000001b3 end
	end
	return hash >> 32
end

try.main(function()
	skynet.dispatch("lua", function(_, _, how, id, n)
		note("handle", how, id)
		if how == "error" then error "asked to fail" end
		if how == "later" then
			local answer = skynet.response()
			skynet.timeout(0, function() note("answered", answer(true, id)) end)
		else
			skynet.retpack(id, n)
		end
	end)
	if os.getenv "RECORD" then
		local words = {}
		for number = 1, 200 do words[number] = ("0x%08x,"):format(run(number)) end
		for i = 1, 200, 10 do print("\t" .. table.concat(words, " ", i, i + 9)) end
	end
	try.case("the recorded order", function()
		for number, hash in ipairs(recorded) do try.equal(run(number), hash, "program " .. number) end
	end)
end)
