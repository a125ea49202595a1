---@meta skynet

---@alias skynet.handle integer       a service: 8 bits of node, 24 bits of number
---@alias skynet.address string       a handle in text, ":0000000a"
---@alias skynet.localname string     ".name": holds in this process
---@alias skynet.globalname string    a name without leading "." or ":", at most 15 bytes: holds in the whole network
---@alias skynet.addr skynet.handle|skynet.address|skynet.localname|skynet.globalname
---@alias skynet.typename string|integer  a protocol, by name or number

---@class skynet.protocol
---@field name string
---@field id integer                   0..255, one of skynet.PTYPE_* or a number of the program's own from 13 on
---@field pack? fun(...): lightuserdata|string|nil, integer?
---@field unpack? fun(msg: lightuserdata, sz: integer): ...
---@field dispatch? fun(session: integer, source: skynet.handle, ...)
---@field trace? boolean               see skynet.traceproto

--- The library of every Lua service. Functions marked async may suspend the calling coroutine; the service goes on with
--- other messages meanwhile. None of them can be used in a script's main chunk, which is no coroutine.
---@class skynet
---@field cache skynet.codecache
---@field _proto table<string|integer, skynet.protocol>  the registered protocols, by name and by number
local skynet = {}

skynet.PTYPE_TEXT = 0
skynet.PTYPE_RESPONSE = 1
skynet.PTYPE_MULTICAST = 2
skynet.PTYPE_CLIENT = 3
skynet.PTYPE_SYSTEM = 4
skynet.PTYPE_HARBOR = 5
skynet.PTYPE_SOCKET = 6
skynet.PTYPE_ERROR = 7
skynet.PTYPE_QUEUE = 8
skynet.PTYPE_DEBUG = 9
skynet.PTYPE_LUA = 10
skynet.PTYPE_SNAX = 11
skynet.PTYPE_TRACE = 12

-- Protocols

--- Adds a protocol. The table is kept, not copied. "lua", "response", "error" and "debug" are there already; a name or
--- number that is taken is an error.
---@param class skynet.protocol
function skynet.register_protocol(class) end

--- Installs the handler of a protocol, or only asks for it. Every request runs the handler in a coroutine of its own.
---@param typename skynet.typename
---@param func? fun(session: integer, source: skynet.handle, ...)
---@return function? previous  the handler until now; without `func` the present one
function skynet.dispatch(typename, func) end

--- Replaces what happens to a request that no protocol takes and that wants no answer: it is logged and raised.
---@param unknown fun(session: integer, source: skynet.handle, msg: lightuserdata, sz: integer, prototype: string|integer)
---@return function previous
function skynet.dispatch_unknown_request(unknown) end

--- Replaces what happens to an answer that nobody waits for. It is logged and raised by default.
---@param unknown fun(session: integer, source: skynet.handle, msg: lightuserdata, sz: integer)
---@return function previous
function skynet.dispatch_unknown_response(unknown) end

--- The entry that skynet.start installs: carries out one message and all that follows from it in this turn.
---@param prototype integer
---@param msg lightuserdata?
---@param sz integer
---@param session integer
---@param source skynet.handle
function skynet.dispatch_message(prototype, msg, sz, session, source) end

-- Sending

--- Sends a message that wants no answer.
---@param addr skynet.addr
---@param typename skynet.typename
---@param ... any  packed as the protocol packs
---@return integer|false|nil session  0 when it is under way, nothing when the service is dead, false when it is too large
function skynet.send(addr, typename, ...) end

--- skynet.send for a message that is packed already. Consumes a `msg` that is a pointer.
---@param addr skynet.addr
---@param typename skynet.typename
---@param msg string|lightuserdata
---@param sz? integer  of a pointer
---@return integer|false|nil session
function skynet.rawsend(addr, typename, msg, sz) end

--- Sends a packed message in the name of another service; of this one for source 0. Draws a session for nil.
---@param dest skynet.addr
---@param source skynet.handle
---@param typename skynet.typename
---@param session integer?
---@param msg string|lightuserdata
---@param sz? integer  of a pointer
---@return integer|false|nil session
function skynet.redirect(dest, source, typename, session, msg, sz) end

--- A new session number.
---@return integer session
function skynet.genid() end

--- Serializes values into a message, which a send consumes or skynet.trash frees.
---@param ... any  nil, booleans, numbers, strings, light userdata, tables of these
---@return lightuserdata? msg
---@return integer sz
function skynet.pack(...) end

--- Serializes values into a string.
---@param ... any
---@return string
function skynet.packstring(...) end

--- The values of a packed message or string.
---@param msg lightuserdata|string|nil
---@param sz? integer  of a pointer
---@return any ...
function skynet.unpack(msg, sz) end

--- A message's bytes as a string; nothing for nil.
---@param msg lightuserdata|string|nil
---@param sz? integer  of a pointer
---@return string?
function skynet.tostring(msg, sz) end

--- Frees a message that no send has consumed.
---@param msg lightuserdata|string
---@param sz? integer  of a pointer
function skynet.trash(msg, sz) end

-- Requesting

--- Sends a request and waits for its answer. Raises `call to invalid address` when there is no such service and
--- `call failed` when it answers with an error or ends first.
---@async
---@param addr skynet.addr
---@param typename skynet.typename
---@param ... any
---@return any ...  what the protocol unpacks from the answer
function skynet.call(addr, typename, ...) end

--- skynet.call without packing and unpacking. The answer stays valid until the coroutine suspends again.
---@async
---@param addr skynet.addr
---@param typename skynet.typename
---@param msg string|lightuserdata?
---@param sz? integer
---@return lightuserdata? msg
---@return integer sz
function skynet.rawcall(addr, typename, msg, sz) end

--- skynet.rawcall under a trace tag; logs its begin and end.
---@async
---@param tag string
---@param addr skynet.addr
---@param typename skynet.typename
---@param msg string|lightuserdata?
---@param sz? integer
---@return lightuserdata? msg
---@return integer sz
function skynet.tracecall(tag, addr, typename, msg, sz) end

--- Requests that are sent together: `for req, resp in skynet.request{...}{...}:select(timeout) do`.
---@class skynet.request
---@field timeout? boolean  true after the loop when the time was over before all had answered
---@overload fun(obj: table): skynet.request
local requests = {}

--- Adds a request: `{ addr, typename, arguments... }`. `n` in it counts the array when it ends in nils.
---@param obj table
---@return skynet.request
function requests:add(obj) end

--- Sends all and iterates over request and answer as they come: a packed table of results, false for a failure, nil for
--- an address that does not exist.
---@async
---@param timeout? integer  hundredths of a second
---@return function iterator
function requests:select(timeout) end

--- Stops waiting; answers that come later are dropped.
function requests:close() end

--- A set of requests.
---@param obj? table  the first request
---@return skynet.request
function skynet.request(obj) end

-- Answering

--- Answers the request that this coroutine handles with a packed message. Once; elsewhere it raises `No session`.
---@param msg? string|lightuserdata
---@param sz? integer
---@return boolean delivered  false when the requester is gone or wanted no answer
function skynet.ret(msg, sz) end

--- Answers the request that this coroutine handles with values.
---@param ... any
---@return boolean delivered
function skynet.retpack(...) end

--- The session and the sender of the request that this coroutine handles.
---@return integer? session  nil once it is answered
---@return skynet.handle? source
function skynet.context() end

--- Declares that this coroutine leaves its request without an answer, so that no warning is logged.
function skynet.ignoreret() end

--- Takes the answer over into a function that any coroutine may call later, once: f(true, ...) answers, f(false) fails
--- the request, f("TEST") tells whether somebody still waits.
---@param pack? fun(...): lightuserdata|string|nil, integer?
---@return fun(ok: boolean|"TEST", ...): boolean
function skynet.response(pack) end

-- Time and suspension

--- Runs a function in a new coroutine after a time.
---@param ti integer  hundredths of a second; 0 or less: behind the messages that are waiting now
---@param func fun()
---@return thread
function skynet.timeout(ti, func) end

--- Suspends for a time, or until skynet.wakeup(token).
---@async
---@param ti integer  hundredths of a second
---@param token? any  the running coroutine by default
---@return "BREAK"?  when it was woken before its time
function skynet.sleep(ti, token) end

--- Suspends until skynet.wakeup(token).
---@async
---@param token? any  the running coroutine by default
function skynet.wait(token) end

--- Lets everything that is queued now go first.
---@async
function skynet.yield() end

--- Wakes who sleeps or waits with this token. It runs later in this turn.
---@param token any
---@return true?  nil when nobody does
function skynet.wakeup(token) end

--- Runs a function in a new coroutine in this turn, when the running one suspends or ends.
---@param func fun(...)
---@param ... any
---@return thread
function skynet.fork(func, ...) end

--- Ends a suspended coroutine; its to-be-closed variables run. Who waits for its answer gets an error. A timer that has no coroutine
--- yet goes by the name that `skynet.task` shows.
---@param thread thread|string  or a part of the thread's text form
---@return thread|string|nil ended  nil when there is none
function skynet.killthread(thread) end

--- pcall; what it calls may suspend.
---@param f fun(...): ...
---@param ... any
---@return boolean ok
---@return any ...
function skynet.pcall(f, ...) end

-- Life of the service

--- Makes the script a service: once, at the end of its main chunk. Runs the initialisers, then `start_func` in a
--- coroutine; when it has ended, the newservice that waits for this service returns.
---@param start_func fun()
function skynet.start(start_func) end

--- What skynet.start does once messages flow. For replacements of skynet.start.
---@async
---@param start fun()
function skynet.init_service(start) end

--- Registers an initialiser: it runs before the start function, in a module that is loaded later right behind its main
--- chunk. It may suspend.
---@param f fun()
function skynet.init(f) end

--- Ends this service. Never returns: everybody who waits for it gets an error.
---@async
function skynet.exit() end

--- Treats a service as dead: own calls to it fail, answers owed to it are dropped.
---@param service skynet.addr  as it was given to the calls
function skynet.term(service) end

--- Limits the memory of this service's Lua state. Only in the main chunk, once.
---@param bytes integer
function skynet.memlimit(bytes) end

-- Services

--- Starts a Lua service and waits until its start function has ended.
---@async
---@param name string
---@param ... string|number  arrive as words: split at blanks, all of them strings
---@return skynet.handle?  nil when the service has ended while it started
function skynet.newservice(name, ...) end

--- The service that exists once in this process; started when nobody has yet. With `true` as first argument: once in
--- the network.
---@async
---@param name string
---@param ... string|number
---@return skynet.handle
---@overload fun(global: true, name: string, ...: string|number): skynet.handle
function skynet.uniqueservice(name, ...) end

--- Waits until somebody has started that unique service.
---@async
---@param name string
---@return skynet.handle
---@overload fun(global: true, name: string): skynet.handle
function skynet.queryservice(name) end

--- This service's handle.
---@return skynet.handle
function skynet.self() end

--- The service with a local name.
---@param name skynet.localname
---@return skynet.handle?
function skynet.localname(name) end

--- A handle as text.
---@param addr skynet.addr
---@return string
function skynet.address(addr) end

--- The node of a handle.
---@param addr skynet.handle
---@return integer harbor_id
---@return boolean remote  is it another node?
function skynet.harbor(addr) end

-- Environment, clock, counters, log

--- A setting of the node's config.
---@param key string
---@return string?
function skynet.getenv(key) end

--- Adds a setting. One that exists cannot be changed.
---@param key string
---@param value string|number|boolean
function skynet.setenv(key, value) end

--- Hundredths of a second since the node started.
---@return integer
function skynet.now() end

--- The Unix time at which the node started.
---@return integer
function skynet.starttime() end

--- Unix time, in steps of 10 ms.
---@return number
function skynet.time() end

--- A counter of nanoseconds.
---@return integer
function skynet.hpc() end

--- Writes a line to the log: the arguments in text form, joined by blanks.
---@param ... any
function skynet.error(...) end

--- Writes a line of a trace.
---@param tag string
---@param text string
---@param thread? thread|integer
---@param level? integer
function skynet.tracelog(tag, text, thread, level) end

--- Has this service been reported for an endless loop? Reading it clears the mark.
---@return boolean
function skynet.endless() end

--- How many messages wait for this service.
---@return integer
function skynet.mqlen() end

--- A counter of this service. cpu and time are seconds.
---@param what "mqlen"|"endless"|"cpu"|"time"|"message"
---@return number
function skynet.stat(what) end

--- Registers what answers the debug command INFO.
---@param func fun(...): ...
function skynet.info_func(func) end

-- Tasks and traces

--- Looks at the suspended coroutines. Without argument it counts them; a table is filled with their tracebacks; a
--- session or "init" gives one traceback; a thread gives its session.
---@param ret? table|integer|thread|"init"
---@return integer|string|nil
function skynet.task(ret) end

--- Suspended coroutines, grouped by where they are.
---@return table<string, string>
function skynet.uniqtask() end

--- Lets timers that are armed from now on remember who armed them, for skynet.task.
---@param on boolean
function skynet.trace_timeout(on) end

--- Traces the request that this coroutine handles, through every service that it calls.
---@param info? string
function skynet.trace(info) end

--- The tag under which this coroutine is traced. false: it must not be traced.
---@return string|false|nil
function skynet.tracetag() end

--- Traces every request of a protocol (true), none (false), or those that come with a tag (nil).
---@param prototype skynet.typename
---@param flag? boolean
function skynet.traceproto(prototype, flag) end

return skynet
