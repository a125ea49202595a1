-- debug_console: every command, the shape of its output, HTTP, who may connect, and input that no operator types.
local skynet = require "skynet"
require "skynet.manager"
local socket = require "skynet.socket"
local try = require "try"

local roles = {}
function roles.server()
	local state = { value = 1 }
	skynet.info_func(function(...) return ... end)
	skynet.start(function()
		skynet.dispatch("lua", function(_, _, what, ...)
			state.last = what
			if what == "bad" then error "a bad request" end
			if what == "wait" then skynet.wait() end
			skynet.retpack({ 1, x = "y" }, what, ...)
		end)
	end)
end
if try.role(roles, ...) then return end

local function free_port()
	local id, _, port = socket.listen("127.0.0.1", 0)
	socket.close(id)
	return port
end

local function connect(port)
	local id = try.yes(socket.open("127.0.0.1", port))
	try.equal(socket.readline(id), "Welcome to skynet console")
	return id
end

-- sends a line; gives the lines of the answer and whether it was well
local function ask(id, line)
	socket.write(id, line .. "\n")
	local lines = {}
	while true do
		local text = socket.readline(id)
		if not text then error("the console closed the connection, after " .. line) end
		if text == "<CMD OK>" then return lines, true end
		if text == "<CMD Error>" then return lines, false end
		lines[#lines + 1] = text
	end
end

-- what a client gets for these bytes until the console closes the connection
local function exchange(port, bytes)
	local id = try.yes(socket.open("127.0.0.1", port))
	socket.write(id, bytes)
	local text = socket.readall(id)
	socket.close(id)
	return text
end

try.main(function()
	local port = free_port()
	skynet.newservice("debug_console", port)
	local server = try.start "server"
	local bare = ("%x"):format(server)
	local id = connect(port)

	local function text(line)
		local lines, ok = ask(id, line)
		try.yes(ok, line .. ": " .. table.concat(lines, "\n"))
		return table.concat(lines, "\n")
	end
	local function fails(line, part)
		local lines, ok = ask(id, line)
		try.equal(ok, false, line)
		try.contains(table.concat(lines, "\n"), part, line)
	end

	try.case("an address is hexadecimal, with a colon, or a local name", function()
		skynet.name(".console_server", server)
		try.matches(text("ping " .. bare), "^%d+$")
		try.matches(text("ping " .. skynet.address(server)), "^%d+$")
		try.matches(text "ping .console_server", "^%d+$")
		fails("ping zz", "Need an address")
		fails("ping .nobody", "Not a valid name")
		fails("ping", "")
	end)
	try.case("info gives text as it is, and nothing for nothing", function()
		try.equal(text("info " .. bare .. " abc"), "abc")
		try.equal(text("info " .. bare), "")
	end)
	try.case("call shows values by their places and tables by their keys", function()
		try.equal(text("call " .. bare .. [[ "a b", { 7 }, nil]]), "1\t1:1\tx:y\n2\ta b\n3\t1:7\nn\t4")
		fails("call " .. bare, "need arguments")
		fails("call " .. bare .. " )", "Invalid arguments")
		fails("call " .. bare .. [[ "bad"]], "call failed")
	end)
	try.case("task and uniqtask show those that wait", function()
		skynet.send(server, "lua", "wait")
		try.matches(text("task " .. bare), "^thread: 0x%x+ session: %d+")
		try.contains(text("uniqtask " .. bare), "stack traceback")
		try.equal(text("killtask " .. bare .. " nothing like it"), "Not found")
	end)
	try.case("inject runs a file in the service and shows what it prints", function()
		local name = os.tmpname()
		local file = io.open(name, "w")
		file:write "print('in here', ...) for name in pairs(_P) do if name == 'lua' then print(_P.lua.state.last) end end"
		file:close()
		skynet.call(server, "lua", "seen")
		try.equal(text(("inject %s %s 1"):format(bare, name)), "in here\t1\nseen")
		file = io.open(name, "w")
		file:write "error 'broken'"
		file:close()
		fails(("inject %s %s"):format(bare, name), "broken")
		os.remove(name)
		try.equal(text(("inject %s %s"):format(bare, name)), "Can't open " .. name)
	end)
	try.case("start, log, exit and kill", function()
		local new = try.matches(text("start " .. SERVICE_NAME .. " server"), "^:%x+\t" .. SERVICE_NAME .. "$"):match "^:(%x+)"
		try.contains(text "list", ":" .. new .. "\tsnlua " .. SERVICE_NAME .. " server")
		try.contains(text("kill " .. new), "snlua " .. SERVICE_NAME .. " server")
		try.no(text "list":find(":" .. new .. "\t"))
		new = text("log " .. SERVICE_NAME .. " server"):match "^:(%x+)"
		text("exit " .. new)
		try.until_true(function() return not text "list":find(":" .. new .. "\t") end)
		for _, line in ipairs { "start no_such_service", "start", "log" } do
			try.equal(text(line), "Failed", line)
		end
	end)
	try.case("getenv and setenv", function()
		text "setenv console_key value"
		try.equal(text "getenv console_key", "console_key\tvalue")
		try.equal(text "getenv console_other", "console_other\tnil")
		fails("setenv console_key again", "Can't setenv exist key : console_key")
	end)
	try.case("netstat has a numbered line for each socket, with what an operator looks for", function()
		local all = text "netstat"
		try.matches(all, "address::%x+\tid:%d+\tpeer:127.0.0.1:%d+\tread:%d+\treading:true\trtime:[%d.]+s\ttype:TCP\twrite:")
		try.matches(all, "%d+\taccept:1\taddress::%x+\tid:%d+\trtime:[%d.]+s\tsock:127.0.0.1:" .. port .. "\ttype:LISTEN")
	end)
	try.case("cmem and jmem have the totals", function()
		local all = text "cmem"
		try.matches(all, "block\t%d+")
		try.matches(all, "total\t%d+")
		try.matches(text "jmem", "stats.allocated\t *%d+ +[%d.]+ Mb")
	end)
	try.case("stat, mem and gc take a time; dbgcmd takes any debug command", function()
		for _, line in ipairs { "stat 300", "mem", "gc 0", "stat -1" } do
			try.contains(text(line), skynet.address(server) .. "\t", line)
		end
		try.matches(text("dbgcmd " .. bare .. " STAT"), "^cpu\t.*\nmessage\t%d+\nmqlen\t%d+\ntask\t%d+$")
		fails("dbgcmd " .. bare .. " NOSUCH", "call failed")
	end)
	try.case("trace, logon, logoff, signal, profactive, dumpheap, clearcache, service", function()
		for _, line in ipairs { "trace %s on", "trace %s lua off", "logon %s", "logoff %s", "signal %s 1" } do
			text(line:format(bare))
		end
		try.equal(text "profactive", "heap profilling is deactive")
		for _, line in ipairs { "dumpheap", "clearcache", "service" } do text(line) end
	end)
	try.case("an unknown command is followed by an empty line; blanks are one, nothing is none", function()
		for _, line in ipairs { "LIST", " ", "\r", "\n\n \r" } do
			local lines, ok = ask(id, line)
			try.equal(ok, false)
			try.equal(table.concat(lines, "|"), "Invalid command, type help for command list|")
		end
	end)
	try.case("an HTTP GET or POST gets the bare text, then the end", function()
		local hello = "Welcome to skynet console\n"
		local want = hello .. "thread\t2\n<CMD OK>\n"
		try.equal(exchange(port, "GET /getenv/thread HTTP/1.1\r\nHost: x\r\n\r\n"), want)
		try.equal(exchange(port, "POST / HTTP/1.1\r\nContent-Length: 13\r\n\r\ngetenv thread"), want)
		try.equal(exchange(port, "GET / HTTP/1.0\r\n\r\n"), hello .. "Invalid command, type help for command list\n\n<CMD Error>\n")
	end)

	try.ours("trace says what it has turned to what", function()
		local log = try.log()
		text("trace " .. bare .. " on")
		log.wait "Turn trace log true for lua"
		fails("trace " .. bare .. " lua maybe", "Need on or off")
		text("trace " .. bare .. " lua off")
		log.wait "Turn trace log false for lua"
	end)
	try.ours("many values are in their order", function()
		local all = text("call " .. bare .. " 1, 2, 3, 4, 5, 6, 7, 8, 9, 10")
		try.contains(all, "9\t8\n10\t9\n11\t10\nn\t11")
	end)
	try.ours("a number is shown, and the connection lives", function()
		try.matches(text("dbgcmd " .. bare .. " MEM"), "^[%d.]+$")
	end)
	try.ours("every command of help exists, and errs without its words rather than die", function()
		for line in text "help":gmatch "[^\n]+" do
			local name = line:match "^%w+"
			if not ("help gc stat mem list dumpheap clearcache"):find(name, 1, true) then ask(id, name) end
		end
		try.matches(text("ping " .. bare), "^%d+$")
	end)
	try.ours("a request from somebody else's web page is refused", function()
		try.contains(exchange(port, "GET /kill/" .. bare .. " HTTP/1.1\r\nOrigin: http://example.com\r\n\r\n"), "Not from a web page")
		local post = "POST / HTTP/1.1\r\nSec-Fetch-Site: cross-site\r\nContent-Length: 4\r\n\r\nlist"
		try.contains(exchange(port, post), "Not from a web page")
		try.matches(text("ping " .. bare), "^%d+$")
	end)
	try.ours("lines, headers and bodies have limits", function()
		local hello = "Welcome to skynet console\n"
		try.equal(exchange(port, ("x"):rep(70000)), hello)
		try.equal(exchange(port, "GET /list HTTP/1.0\r\n" .. ("a: b\r\n"):rep(200) .. "\r\n"), hello)
		for _, length in ipairs { "-1", "99999999999", "1e3", "many" } do
			try.equal(exchange(port, ("POST / HTTP/1.0\r\nContent-Length: %s\r\n\r\nlist"):format(length)), hello)
		end
		try.matches(text("ping " .. bare), "^%d+$")
	end)
	try.ours("not beyond loopback without a token", function()
		local log = try.log()
		try.raises("call failed", skynet.newservice, "debug_console", "0.0.0.0", free_port())
		log.wait "debug_console on 0.0.0.0 needs fulmar_console_token in the config"
	end)
	try.ours("with a token, nobody is heard who does not show it", function()
		skynet.setenv("fulmar_console_token", "sesame")
		local public = free_port()
		skynet.newservice("debug_console", "0.0.0.0", public)
		local hello, refused = "Welcome to skynet console\n", "Need a token\n<CMD Error>\n"
		for _, line in ipairs { "list", "token", "token sesam", "token sesamee", "token " .. ("sesame"):rep(2), "GET /list HTTP/1.0\r\n\r" } do
			try.equal(exchange(public, line .. "\n"), hello .. refused, line)
		end
		try.equal(exchange(public, "GET /list HTTP/1.0\r\nAuthorization: Bearer wrong\r\n\r\n"), hello .. refused)
		try.equal(exchange(public, "GET /getenv/thread HTTP/1.0\r\nAuthorization: Bearer sesame\r\n\r\n"), hello .. "thread\t2\n<CMD OK>\n")
		local known = connect(public)
		try.equal(select(2, ask(known, "token sesame")), true)
		try.equal(table.concat((ask(known, "getenv thread"))), "thread\t2")
		socket.close(known)
	end)
	socket.close(id)
end)
