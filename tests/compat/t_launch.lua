-- The module fulmar: services with a worker or a thread of their own, and with mailboxes that hold only so much.
local skynet = require "skynet"
local fulmar = require "fulmar"
local try = require "try"

local roles = {}

function roles.server()
	local notes = {}
	skynet.start(function()
		skynet.dispatch("lua", function(session, _, cmd, x)
			if cmd == "block" then
				os.execute(("sleep %s"):format(x))
				skynet.retpack(true)
			elseif cmd == "note" then
				notes[#notes + 1] = x
				if session ~= 0 then skynet.retpack(x) end
			else
				skynet.retpack(notes)
			end
		end)
	end)
end

if try.role(roles, ...) then return end

local function same(got, want)
	try.equal(#got, #want)
	for i, v in ipairs(want) do try.equal(got[i], v) end
end

-- A blocked server with five notes on their way to it; the notes that it has in the end.
local function five_notes(options)
	local s = fulmar.newservice(options, SERVICE_NAME, "server")
	skynet.send(s, "lua", "block", 0.3)
	local sent = {}
	skynet.sleep(5)
	for i = 1, 5 do sent[i] = skynet.send(s, "lua", "note", i) end
	skynet.sleep(60)
	local notes = skynet.call(s, "lua", "notes")
	return notes, sent
end

try.main(function()
	try.case("a service with a thread of its own blocks nobody", function()
		local s = fulmar.newservice({ thread = true }, SERVICE_NAME, "server")
		try.equal(skynet.call(s, "lua", "note", 1), 1)
		local start = skynet.now()
		skynet.send(s, "lua", "block", 1)
		local other = try.start "server"
		for i = 1, 100 do skynet.call(other, "lua", "note", i) end
		try.equal(skynet.now() - start < 90, true)
		same(skynet.call(s, "lua", "notes"), { 1 })
	end)

	try.case("a service on one worker works as others do", function()
		local s = fulmar.newservice({ worker = 1 }, SERVICE_NAME, "server")
		for i = 1, 100 do try.equal(skynet.call(s, "lua", "note", i), i) end
	end)

	try.case("a worker that is not there is a reason not to start", function()
		local s, reason = fulmar.launch({ worker = 1000 }, SERVICE_NAME, "server")
		try.equal(s, nil)
		try.equal(type(reason), "string")
		try.equal(pcall(fulmar.newservice, { worker = 1000 }, SERVICE_NAME, "server"), false)
	end)

	try.case("a full mailbox rejects, or drops the oldest or the newest", function()
		local notes, sent = five_notes { mailbox = 2, policy = "reject" }
		same(notes, { 1, 2 })
		same(sent, { 0, 0, false, false, false })
		same((five_notes { mailbox = 2, policy = "drop_oldest" }), { 4, 5 })
		same((five_notes { mailbox = 2, policy = "drop_newest" }), { 1, 2 })
		same((five_notes {}), { 1, 2, 3, 4, 5 })
	end)

	try.case("a call that a full mailbox rejects fails at once", function()
		local s = fulmar.newservice({ mailbox = 1 }, SERVICE_NAME, "server")
		skynet.send(s, "lua", "block", 0.3)
		skynet.sleep(5)
		skynet.send(s, "lua", "note", 1)
		try.equal(pcall(skynet.call, s, "lua", "notes"), false)
	end)

	try.case("options that make no sense are errors", function()
		for _, options in ipairs { { worker = 0 }, { worker = "x" }, { thread = true, worker = 1 }, { mailbox = 0 },
			{ mailbox = -1 }, { mailbox = 5, policy = "forget" }, { policy = 7 } } do
			try.equal(pcall(fulmar.launch, options, SERVICE_NAME, "server"), false)
		end
		try.equal(pcall(fulmar.launch, {}), false)
		try.equal(pcall(fulmar.launch, SERVICE_NAME), false)
	end)
end)
