-- The commands of debug_console. Each gets the words behind its name and returns what is to be shown: nothing, a value, or
-- a table of rows. Those in `whole` get the rest of the line as it was typed.
local skynet = require "skynet"
local core = require "skynet.core"
local codecache = require "skynet.codecache"
local memory = require "skynet.memory"
local socket = require "skynet.socket"
require "skynet.manager"

local netstat = require "skynet.console.netstat"

local command, whole, help = {}, {}, {}

local PATIENCE_CS = 300

-- What the user calls a service: `:hex` as it is, the handle of `.name`, bare hexadecimal digits on this node.
local function address_of(word)
	local first = assert(word, "Need an address"):sub(1, 1)
	if first == "." then
		return assert(skynet.localname(word), "Not a valid name")
	elseif first == ":" then
		return word
	end
	local number = assert(tonumber(word, 16), "Need an address")
	return number | skynet.harbor(skynet.self()) << 24
end

-- Centiseconds to wait for all services; nil is for ever.
local function patience(word)
	local limit = assert(tonumber(word or PATIENCE_CS), "Need a time in 1/100 s")
	return limit > 0 and limit or nil
end

-- A function whose module comes with another part of the library.
local function from(module, name)
	local found, library = pcall(require, module)
	if not found then
		error(module .. " is not part of this version", 0)
	end
	return library[name]
end

local function started(name, launch, ...)
	local ok, handle = pcall(launch, ...)
	if not ok then
		return "Failed"
	elseif not handle then
		return "Exit"
	end
	return { [skynet.address(type(handle) == "table" and handle.handle or handle)] = name }
end

local function debug_command(word, ...)
	return skynet.call(address_of(word), "debug", ...)
end

help.help = "help : this list"
function command.help()
	return help
end

help.list = "list : the services that the launcher has started"
function command.list()
	return skynet.call(".launcher", "lua", "LIST")
end

help.stat = "stat [time] : messages, processor time and tasks of each service; waits for time/100 s"
function command.stat(time)
	return skynet.call(".launcher", "lua", "STAT", patience(time))
end

help.mem = "mem [time] : the Lua memory of each service"
function command.mem(time)
	return skynet.call(".launcher", "lua", "MEM", patience(time))
end

help.gc = "gc [time] : collects the garbage of each service, then shows its memory"
function command.gc(time)
	return skynet.call(".launcher", "lua", "GC", patience(time))
end

help.service = "service : the unique services"
function command.service()
	return skynet.call("SERVICE", "lua", "LIST")
end

help.start = "start name ... : starts a Lua service"
function command.start(name, ...)
	return started(name, skynet.newservice, name, ...)
end

help.log = "log name ... : starts a Lua service and logs its messages"
function command.log(name, ...)
	return started(name, skynet.call, ".launcher", "lua", "LOGLAUNCH", "snlua", name, ...)
end

help.snax = "snax name ... : starts a snax service"
function command.snax(name, ...)
	return started(name, from("skynet.snax", "newservice"), name, ...)
end

help.exit = "exit address : asks a service to end"
function command.exit(word)
	skynet.send(address_of(word), "debug", "EXIT")
end

help.kill = "kill address : ends a service"
function command.kill(word)
	return skynet.call(".launcher", "lua", "KILL", address_of(word))
end

help.info = "info address ... : what the service tells about itself"
function command.info(word, ...)
	return debug_command(word, "INFO", ...)
end

help.task = "task address : the tasks of a service that wait"
function command.task(word)
	return debug_command(word, "TASK")
end

help.uniqtask = "uniqtask address : the same, tasks that wait at the same place together"
function command.uniqtask(word)
	return debug_command(word, "UNIQTASK")
end

help.killtask = "killtask address thread : ends a task, named as by task"
function command.killtask(word, pattern)
	return debug_command(word, "KILLTASK", pattern)
end

help.ping = "ping address : the time of a round trip in 1/100 s"
function command.ping(word)
	local address, start = address_of(word), skynet.now()
	skynet.call(address, "debug", "PING")
	return tostring(skynet.now() - start)
end

help.inject = "inject address file ... : runs a Lua file in a service"
function command.inject(word, filename, ...)
	local address = address_of(word)
	local file = io.open(assert(filename, "Need a file"), "rb")
	if not file then
		return "Can't open " .. filename
	end
	local source = file:read "a"
	file:close()
	local ok, output = skynet.call(address, "debug", "RUN", source, filename, ...)
	if not ok then
		error(output, 0)
	end
	return output
end

help.dbgcmd = "dbgcmd address command ... : any debug command"
function command.dbgcmd(word, ...)
	return debug_command(word, ...)
end

help.debug = "debug address : debugs a Lua service, line by line"
function command.debug(word)
	address_of(word)
	error("debug is not part of this version", 0)
end

help.trace = "trace address [protocol] [on|off] : follows the requests that a service gets"
function command.trace(word, proto, flag)
	if not flag and (proto == "on" or proto == "off") then
		proto, flag = nil, proto
	end
	if flag then
		assert(flag == "on" or flag == "off", "Need on or off")
	end
	flag = flag and flag == "on"
	if proto then
		return debug_command(word, "TRACELOG", proto, flag)
	end
	return debug_command(word, "TRACELOG", flag)
end

help.logon = "logon address : logs the messages of a service"
function command.logon(word)
	core.command("LOGON", skynet.address(address_of(word)))
end

help.logoff = "logoff address : no longer logs the messages of a service"
function command.logoff(word)
	core.command("LOGOFF", skynet.address(address_of(word)))
end

help.signal = "signal address [n] : 0 interrupts the service's Lua code, 1 logs its memory"
function command.signal(word, n)
	local number = assert(math.tointeger(tonumber(n or 0)), "Need a number")
	core.command("SIGNAL", ("%s %d"):format(skynet.address(address_of(word)), number))
end

help.getenv = "getenv name : a value of the node's environment"
function command.getenv(name)
	return { [assert(name, "Need a name")] = tostring(skynet.getenv(name)) }
end

help.setenv = "setenv name value : adds a value to the node's environment"
function command.setenv(name, value)
	skynet.setenv(assert(name, "Need a name"), assert(value, "Need a value"))
end

help.clearcache = "clearcache : services that start from now on load their files anew"
function command.clearcache()
	codecache.clear()
end

help.netstat = "netstat : the sockets"
function command.netstat()
	return netstat(socket.netstat())
end

help.cmem = "cmem : the messages that each service holds, in bytes"
function command.cmem()
	local rows = { total = memory.total(), block = memory.block() }
	for handle, bytes in pairs(memory.info()) do
		rows[skynet.address(handle)] = bytes
	end
	return rows
end

help.jmem = "jmem : the memory for messages, in all"
function command.jmem()
	local rows = {}
	for name, bytes in pairs(memory.jestat()) do
		rows[name] = ("%11d  %8.2f Mb"):format(bytes, bytes / 1048576)
	end
	return rows
end

help.profactive = "profactive [on|off] : heap profiling"
function command.profactive(flag)
	local active
	if flag == "on" or flag == "off" then
		active = memory.profactive(flag == "on")
	else
		active = memory.profactive()
	end
	return "heap profilling is " .. (active and "active" or "deactive")
end

help.dumpheap = "dumpheap : writes a heap profile"
function command.dumpheap()
	memory.dumpheap()
end

help.call = "call address value, ... : calls a service in the protocol lua, with values written as in Lua"
function whole.call(rest)
	local word, values = rest:match "^(%S+)%s*(.*)$"
	local address = address_of(word)
	assert(values ~= "", "need arguments")
	local evaluate = assert(load("return " .. values, "=console", "t", {}), "Invalid arguments")
	local arguments = table.pack(pcall(evaluate))
	assert(arguments[1], "Invalid arguments")
	return table.pack(skynet.call(address, "lua", table.unpack(arguments, 2, arguments.n)))
end

return { command = command, whole = whole }
