-- Drives the login scripts with the lines of an input: see login.rs.
local scripts, crypt = ...

local SERVER_KEY, CLIENT_KEY = "\1server\1", "\1client\1"
local CHALLENGE = "challeng"
local SECRET = "8 bytes!"
local USER = ("%s@%s#%s"):format(crypt.base64encode "user", crypt.base64encode "server", crypt.base64encode "1")

local dispatch	-- what the script answers messages with
local answer	-- what it has answered
local lines, sent, closed	-- what the client says; what it has heard, and whether it was let go
local waits = {}	-- what the script does after a while

local skynet = {}
function skynet.localname() return 1 end
function skynet.start(func) func() end
function skynet.dispatch(_, func) dispatch = func end
function skynet.retpack(...) answer = table.pack(...) end
function skynet.timeout(_, func) waits[#waits + 1] = func end
function skynet.error() end
function skynet.yield() end

local socket = {}
function socket.start() return true end
function socket.limit() end
function socket.abandon() end
function socket.shutdown() closed = true end
function socket.write(_, text) sent[#sent + 1] = text return true end
function socket.readline()
	local line = table.remove(lines, 1)
	if type(line) == "function" then
		return line()
	end
	return line
end

local driver = {}
function driver.pause() end
function driver.send(_, text) sent[#sent + 1] = text return true end

local handler
local gateserver = {}
function gateserver.start(with) handler = with end
function gateserver.openclient() end
function gateserver.closeclient() closed = true end

local netpack = {}
function netpack.pack(text) return text end
function netpack.tostring(text) return text end

local modules = {
	["skynet"] = skynet, ["skynet.manager"] = skynet, ["skynet.crypt"] = crypt, ["skynet.socket"] = socket,
	["skynet.socketdriver"] = driver, ["skynet.netpack"] = netpack, ["snax.gateserver"] = gateserver,
}

local function load_script(name)
	local env = setmetatable({ require = function(module) return assert(modules[module], module) end }, { __index = _G })
	return assert(load(scripts[name], "@" .. name, "t", env))()
end

local keys
crypt.randomkey = function() return table.remove(keys, 1) end

local token
load_script "snax.loginserver" {
	host = "", port = 1,
	auth_handler = function(text)
		token = text
		return "server", "uid"
	end,
	login_handler = function() end,
	command_handler = function() end,
}

local msgserver = load_script "snax.msgserver"
local requests
msgserver.start {
	login_handler = function() end, logout_handler = function() end, kick_handler = function() end,
	request_handler = function(_, text)
		requests = requests + 1
		return text
	end,
}

-- What a client takes as it should: the key, the proof that it knows the secret, the token.
local function log_in(honest, said)
	keys = { CHALLENGE, SERVER_KEY }
	local secret = crypt.dhsecret(crypt.dhexchange(CLIENT_KEY), SERVER_KEY)
	local key, proof = crypt.base64encode(crypt.dhexchange(CLIENT_KEY)), crypt.base64encode(crypt.hmac64(CHALLENGE, secret))
	local text = table.remove(said, 1) or ""
	lines = {}
	lines[1] = honest & 1 ~= 0 and key or table.remove(said, 1)
	lines[2] = honest & 2 ~= 0 and proof or table.remove(said, 1)
	lines[3] = honest & 4 ~= 0 and crypt.base64encode(crypt.desencode(secret, text)) or table.remove(said, 1)
	local first, second = lines[1], lines[2]
	token, answer = nil, nil
	dispatch(nil, nil, 1, "address")
	local ok = answer[1]
	if ok == true then
		assert(token and answer[2] == "server" and answer[3] == "uid" and #answer[4] == 8)
		local theirs = crypt.base64decode(first)
		assert(crypt.base64decode(second) == crypt.hmac64(CHALLENGE, crypt.dhsecret(theirs, SERVER_KEY)))
		if honest == 7 then
			assert(token == text and answer[4] == secret)
		end
	else
		assert(token == nil and honest ~= 7)
		assert(ok == nil or ok == false and answer[2] ~= nil)
	end
end

local function connect(honest, said)
	requests, closed = 0, false
	msgserver.login(USER, SECRET)
	handler.connect(1, "address")
	local hello = table.remove(said, 1) or ""
	local proof
	if honest & 1 ~= 0 then
		-- a user and a number, and a proof of both
		local index = hello:match "%d+" or "1"
		hello = USER .. ":" .. index
		proof = crypt.base64encode(crypt.hmac_hash(SECRET, hello))
		hello = hello .. ":" .. proof
	end
	handler.message(1, hello, #hello)
	assert(#sent == 1, "a handshake has one answer")
	local welcome = sent[1] == "200 OK"
	if welcome then
		local user, index, mac = hello:match "([^:]*):([^:]*):([^:]*)"
		assert(user == USER and not closed)
		assert(crypt.base64decode(mac) == crypt.hmac_hash(SECRET, user .. ":" .. index))
		assert(msgserver.ip(USER) == "address")
	else
		assert(sent[1]:match "^40[0134] " and closed and msgserver.ip(USER) == nil)
	end
	for _, frame in ipairs(said) do
		handler.message(1, frame, #frame)
	end
	assert(welcome or requests == 0)
	assert(requests <= #said and #sent <= 1 + #said)
	handler.disconnect(1)
	for i = #waits, 1, -1 do
		waits[i]()
		waits[i] = nil
	end
	msgserver.logout(USER)
end

return function(data)
	local honest = (data:byte(1) or 0) & 15
	local said = {}
	for line in data:sub(2):gmatch "([^\n]*)\n?" do
		said[#said + 1] = line
	end
	sent = {}
	if honest & 8 ~= 0 then
		connect(honest, said)
	else
		log_in(honest, said)
		waits = {}
	end
end
