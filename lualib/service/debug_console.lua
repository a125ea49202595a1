-- debug_console [ip] port: commands for whoever runs the node, a line each, over TCP; also as the path of an HTTP GET or the
-- body of a POST. It listens on loopback addresses; on others only when the config has a token (`fulmar_console_token`), which
-- every connection has to show before it is heard: `token <text>` as its first line, or `Authorization: Bearer <text>`.
local skynet = require "skynet"
local socket = require "skynet.socket"
local commands = require "skynet.console.commands"

local LINE_BYTES = 64 * 1024
local HEADERS = 100
local TOKEN_CS = 1000	-- for a connection to show its token

local ip, port = ...
if port == nil then
	ip, port = "127.0.0.1", ip
end
port = assert(math.tointeger(tonumber(port)), "debug_console needs a port")
local token = skynet.getenv "fulmar_console_token"

local function is_loopback(address)
	return address:find "^127%.%d+%.%d+%.%d+$" ~= nil or address == "::1" or address == "localhost" or address:find "^unix:" ~= nil
end

-- A row: `key:value` pairs by key, with tabs between them.
local function row(fields)
	local words = {}
	for key, value in pairs(fields) do
		words[#words + 1] = ("%s:%s"):format(key, value)
	end
	table.sort(words)
	return table.concat(words, "\t")
end

-- What a command gave, as text.
local function show(result)
	if result == nil then
		return ""
	elseif type(result) ~= "table" then
		return tostring(result) .. "\n"
	end
	local keys, names = {}, {}
	for key in pairs(result) do
		local name = tostring(key)
		names[#names + 1] = name
		keys[name] = key
	end
	-- positions in their order, then names
	table.sort(names, function(a, b)
		local x, y = math.tointeger(keys[a]), math.tointeger(keys[b])
		if x and y then
			return x < y
		end
		return x ~= nil or y == nil and a < b
	end)
	for i, name in ipairs(names) do
		local value = result[keys[name]]
		names[i] = ("%s\t%s\n"):format(name, type(value) == "table" and row(value) or tostring(value))
	end
	return table.concat(names)
end

local function run(line)
	local name, rest = line:match "^%s*(%S*)%s*(.-)%s*$"
	local whole, command = commands.whole[name], commands.command[name]
	if whole then
		return whole(rest)
	elseif command then
		local words = {}
		for word in rest:gmatch "%S+" do
			words[#words + 1] = word
		end
		return command(table.unpack(words))
	end
	error("Invalid command, type help for command list\n", 0)
end

-- The answer to a line.
local function answer(line)
	local ok, text = pcall(function()
		return show(run(line))
	end)
	if ok then
		return text .. "<CMD OK>\n"
	end
	return ("%s\n<CMD Error>\n"):format(text)
end

-- In a time that does not tell how much of a guess was right.
local function is_token(guess)
	local different = #guess ~ #token
	for i = 1, #guess do
		different = different | guess:byte(i) ~ (token:byte((i - 1) % #token + 1))
	end
	return different == 0
end

local function refuse(id, why)
	socket.write(id, why .. "\n<CMD Error>\n")
end

-- The headers of a request by their names in lower case, or nothing when the client goes or sends too many.
local function read_headers(id)
	local headers = {}
	for _ = 1, HEADERS do
		local line = socket.readline(id)
		if not line then
			return
		end
		line = line:gsub("\r$", "")
		if line == "" then
			return headers
		end
		local name, value = line:match "^([^:]+):%s*(.-)%s*$"
		if name then
			headers[name:lower()] = value
		end
	end
end

-- Has another web page sent this, from the browser of somebody on this machine?
local function is_from_elsewhere(headers)
	local site = headers["sec-fetch-site"]
	return headers.origin ~= nil or site ~= nil and site ~= "none"
end

local function body(id, headers)
	local length = headers["content-length"]
	if not length then
		return socket.read(id)
	end
	local n = length:find "^%d+$" and tonumber(length)
	return n and n <= LINE_BYTES and socket.read(id, n)
end

local function serve_http(id, method, path, trust)
	local headers = read_headers(id)
	if not headers then
		return
	elseif token then
		local shown = (headers.authorization or ""):match "^[Bb]earer%s+(%S+)$"
		if not shown or not is_token(shown) then
			return refuse(id, "Need a token")
		end
		trust()
	elseif is_from_elsewhere(headers) then
		return refuse(id, "Not from a web page")
	end
	local line = method == "GET" and path:gsub("/", " ") or method == "POST" and body(id, headers)
	if line then
		socket.write(id, answer(line))
	end
end

local function serve(id)
	socket.limit(id, LINE_BYTES)
	socket.write(id, "Welcome to skynet console\n")
	local trusted = token == nil
	local function trust()
		trusted = true
	end
	if not trusted then
		skynet.timeout(TOKEN_CS, function()
			if not trusted then
				socket.shutdown(id)
			end
		end)
	end
	while true do
		local line = socket.readline(id)
		if not line then
			return
		end
		local is_empty = line == ""	-- and so no command
		line = line:gsub("\r$", "")
		local method, path = line:match "^(%u+) (%S*)"
		if method == "GET" or method == "POST" then
			return serve_http(id, method, path, trust)
		elseif trusted then
			if not is_empty then
				socket.write(id, answer(line))
			end
		else
			if not is_token(line:match "^token (%S+)$" or "") then
				return refuse(id, "Need a token")
			end
			trust()
			socket.write(id, "<CMD OK>\n")
		end
	end
end

skynet.start(function()
	if token and not token:find "^%S+$" then
		error "fulmar_console_token must be one word"
	elseif not token and not is_loopback(ip) then
		error(("debug_console on %s needs fulmar_console_token in the config"):format(ip))
	end
	local listener
	listener, ip, port = socket.listen(ip, port)
	skynet.error(("Start debug console at %s:%d"):format(ip, port))
	socket.start(listener, function(id, from)
		skynet.error(from .. " connected")
		skynet.fork(function()
			socket.start(id)
			local ok, err = pcall(serve, id)
			if not ok then
				skynet.error(err)
			end
			socket.close(id)
			skynet.error(from .. " disconnect")
		end)
	end)
end)
