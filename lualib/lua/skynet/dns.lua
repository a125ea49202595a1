-- skynet.dns: addresses of names, from the hosts file or a name server, whose answers are kept as long as they say.
local skynet = require "skynet"
local socket = require "skynet.socket"
local core = require "skynet.dns.core"

local TIMEOUT = 30 * 100	-- centiseconds: for an answer
local DISUSE = 60 * 100	-- after which the socket is closed
local MAX_CACHED = 10000	-- names

local dns = {
	DEFAULT_HOSTS = "/etc/hosts",
	DEFAULT_RESOLV_CONF = "/etc/resolv.conf",
}

local server	-- the name server: address, port; while its socket is open: ip, id, used (when last)
local asking = {}	-- id of a question -> what `ask` makes, and in the end addresses and ttl, or failed
local cache = {}	-- "4name" or "6name" -> addresses, expires
local cached = 0
local hosts	-- path, [4] and [6]: name -> addresses

local function family(ipv6) return ipv6 and 6 or 4 end

local function is_literal(name)
	return name:find ":" ~= nil or name:find "^[%d%.]+$" ~= nil
end

-- Letters, digits, "-" and "_", and at most 63 bytes between two dots.
local function is_legal(name)
	if name == "" or name:find "[^%w%-_%.]" then
		return false
	end
	for label in name:gmatch "[^%.]+" do
		if #label > 63 then
			return false
		end
	end
	return true
end

local function read_hosts(path)
	local list = { path = path, [4] = {}, [6] = {} }
	local file = io.open(path)
	if not file then
		return list
	end
	for line in file:lines() do
		local words = line:gsub("#.*", ""):gmatch "%S+"
		local address = words()
		if address and is_literal(address) then
			local known = list[family(address:find ":")]
			for word in words do
				local name = word:lower()
				known[name] = known[name] or {}
				table.insert(known[name], address)
			end
		end
	end
	file:close()
	return list
end

local function in_hosts(name, ipv6)
	if not hosts or hosts.path ~= dns.DEFAULT_HOSTS then
		hosts = read_hosts(dns.DEFAULT_HOSTS)
	end
	return hosts[family(ipv6)][name]
end

local function keep(key, addresses, ttl)
	if not cache[key] then
		if cached >= MAX_CACHED then
			dns.flush()
		end
		cached = cached + 1
	end
	cache[key] = { addresses = addresses, expires = skynet.now() + ttl * 100 }
end

-- Takes an answer: true when it is one to the question. What is truncated is asked for again, where there is room for it.
local function take(asked, data, ask_again)
	local addresses, ttl, truncated = core.answer(asked.question, data)
	if addresses == nil then
		return false
	end
	if truncated and ask_again then
		if not asked.again then
			asked.again = true
			skynet.fork(ask_again, asked)
		end
		return true
	end
	if addresses then
		asked.addresses, asked.ttl = {}, ttl
		for address in addresses:gmatch "%S+" do
			table.insert(asked.addresses, address)
		end
	else
		asked.failed = true
	end
	skynet.wakeup(asked)
	return true
end

-- Asks over a stream. A server that gives no answer there has failed.
local function ask_stream(asked)
	local id = socket.open(asked.server.ip, asked.server.port)
	local taken = false
	if id then
		asked.stream = id
		socket.write(id, string.pack(">s2", asked.question))
		local header = not asked.ended and socket.read(id, 2)
		local length = header and string.unpack(">I2", header) or 0
		local data = length > 0 and socket.read(id, length)
		taken = data and take(asked, data)
		socket.close(id)
	end
	if not taken then
		asked.failed = true
		skynet.wakeup(asked)
	end
end

-- A datagram has arrived. What does not come from the server is ignored: the true answer may still come.
local function on_datagram(data, from)
	local address, port = socket.udp_address(from)
	if address ~= server.ip or port ~= server.port then
		return
	end
	local asked = asking[core.id(data)]
	if asked then
		take(asked, data, ask_stream)
	end
end

local function close_server()
	if server and server.id then
		skynet.error(("Udp server close %s:%d (%d)"):format(server.address, server.port, server.id))
		socket.close(server.id)
		server.id = nil
	end
end

-- Closes the socket when it has not been used for a while.
local function watch_disuse(watched)
	local id = watched.id
	local function look()
		if watched.id ~= id then
			return
		end
		if next(asking) == nil and skynet.now() - watched.used >= DISUSE then
			close_server()
		else
			skynet.timeout(DISUSE, look)
		end
	end
	skynet.timeout(DISUSE, look)
end

-- The socket to the name server.
local function open_server()
	if not server then
		dns.server()
		assert(server, "Call dns.server first")
	end
	server.used = skynet.now()
	if not server.id then
		server.ip = socket.resolve(server.address)[1]
		server.id = socket.udp_dial(server.ip, server.port, on_datagram)
		skynet.error(("Udp server open %s:%d (%d)"):format(server.address, server.port, server.id))
		watch_disuse(server)
	end
	return server.id
end

-- The first name server of the resolver's file.
local function configured_server()
	local file = io.open(dns.DEFAULT_RESOLV_CONF)
	if not file then
		return
	end
	for line in file:lines() do
		local address = line:match "^%s*nameserver%s+(%S+)"
		if address then
			file:close()
			return address
		end
	end
	file:close()
end

--- Says which name server to ask. Nothing changes when none is given and none is configured.
function dns.server(address, port)
	address = address or configured_server()
	if address then
		close_server()
		server = { address = address, port = port or 53 }
	end
end

--- Forgets all answers, and what the hosts file said.
function dns.flush()
	cache, cached, hosts = {}, 0, nil
end

-- Asks the server; addresses and for how many seconds they hold, or nothing.
local function ask(name, ipv6)
	local question, id
	repeat
		question = core.question(name, ipv6)
		if not question then
			skynet.error "Recv an invalid name when dns query"
			return
		end
		id = core.id(question)
	until not asking[id]
	socket.write(open_server(), question)
	local asked = { question = question, server = server }
	asking[id] = asked
	skynet.sleep(TIMEOUT, asked)
	asking[id] = nil
	asked.ended = true
	if asked.stream then
		socket.shutdown(asked.stream)
	end
	if not asked.addresses and not asked.failed then
		skynet.error(("DNS query %s timeout"):format(name))
	end
	return asked.addresses, asked.ttl
end

--- The first address of a name and all of them. A literal address comes back as it is.
function dns.resolve(name, ipv6)
	if is_literal(name) then
		return name
	end
	if not is_legal(name) then
		return nil, "illegal name"
	end
	name = name:lower()
	local addresses = in_hosts(name, ipv6)
	if not addresses then
		local key = family(ipv6) .. name
		local entry = cache[key]
		if entry and entry.expires > skynet.now() then
			addresses = entry.addresses
		else
			local ttl
			addresses, ttl = ask(name, ipv6)
			if addresses then
				keep(key, addresses, ttl)
			else
				-- an old answer is better than none
				addresses = (entry or error "timeout or no answer").addresses
			end
		end
	end
	return addresses[1], addresses
end

return dns
