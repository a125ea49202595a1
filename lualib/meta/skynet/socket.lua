---@meta skynet.socket

--- Sockets that a coroutine waits on. One coroutine reads a socket at a time; any number may write.
---@class skynet.socket
local socket = {}

--- What is sent: a string, an array that `table.concat` would take, or a pointer or userdata (with its size).
---@alias skynet.socket.data string|(string|number)[]|lightuserdata|userdata

--- What a socket may do and hold. Fulmar only.
---
--- With `frame`, a format of `string.pack`, the stream is cut into frames as they arrive: `read` gives one at a time, `write` sends
--- one.
---@class skynet.socket.options
---@field nodelay? boolean Small packets go at once; off.
---@field keepalive? boolean The system asks a silent peer whether it is there; on.
---@field queued_bytes? integer How much may wait to be sent, beyond which the connection ends; 256 MiB.
---@field idle_cs? integer How long nothing may arrive while it is read, and of frames no whole one; 0, for ever.
---@field linger_cs? integer How long a peer may take nothing of what waits once the socket is closed; 6000.
---@field frame? "s1"|">s2"|"<s2"|">s4"|"<s4"|false
---@field limit_bytes? integer The longest frame that is taken and sent: what the format can hold, but less than 16 MiB.

--- What a listener does; the rest is for the connections it accepts. Fulmar only.
---@class skynet.socket.listen_options: skynet.socket.options
---@field backlog? integer Connections that wait to be accepted; 1024.
---@field reuse_port? boolean Others may listen there, too, who say so; off.

--- Connects. Without `port` the address is `host:port` or `[v6]:port`; `unix:PATH` is a Unix domain socket.
---@async
---@param addr string
---@param port? integer
---@param options? skynet.socket.options
---@return integer? id
---@return string? err
function socket.open(addr, port, options) end

--- Listens, without accepting yet. Port 0 takes a free one. Raises `Listen error`.
---@async
---@param host string
---@param port? integer
---@param backlog? integer|skynet.socket.listen_options 1024 when left out
---@return integer id
---@return string ip
---@return integer port
function socket.listen(host, port, backlog) end

--- Begins to accept (with `func`, called per connection) or to read in this service.
---@async
---@param id integer
---@param func? fun(id: integer, addr: string)
---@param options? skynet.socket.options Before the first byte is read.
---@return integer? id
---@return string? err
function socket.start(id, func, options) end

--- Adopts a descriptor of the operating system.
---@async
---@param os_fd integer
---@return integer? id
---@return string? err
function socket.bind(os_fd) end

--- Adopts the standard input.
---@async
---@return integer? id
---@return string? err
function socket.stdin() end

--- Reads `sz` bytes, or what is there; of a socket with frames the next one. On close: false and what was left.
---@async
---@param id integer
---@param sz? integer
---@return string|false data
---@return string? rest
function socket.read(id, sz) end

--- Reads a line, without its separator. On close: false and what was left.
---@async
---@param id integer
---@param sep? string `"\n"` when left out
---@return string|false line
---@return string? rest
function socket.readline(id, sep) end

--- Reads everything until the connection closes.
---@async
---@param id integer
---@return string|false
function socket.readall(id) end

--- Waits until there is something to read: true; false when closed.
---@async
---@param id integer
---@return boolean
function socket.block(id) end

--- Sends; never blocks. False when the id is gone.
---@param id integer
---@param data skynet.socket.data
---@param sz? integer
---@return boolean
function socket.write(id, data, sz) end

--- As `write`, but only when nothing else waits.
---@param id integer
---@param data skynet.socket.data
---@param sz? integer
---@return boolean
function socket.lwrite(id, data, sz) end

--- The options of a socket; nil when there is no such socket. Fulmar only.
---@param id integer
---@return skynet.socket.options?
function socket.options(id) end

--- Changes the options that are given; frames only begin with the socket. False when there is no such socket. Fulmar only.
---@param id integer
---@param options skynet.socket.options
---@return boolean
function socket.configure(id, options) end

--- Sends one buffer to many sockets, also of other services: one copy in memory. How many took it. Fulmar only.
---@param ids integer[]
---@param data skynet.socket.data
---@param sz? integer
---@return integer
function socket.broadcast(ids, data, sz) end

--- Closes in order and releases the id. Waits for a reader's last result.
---@async
---@param id integer
function socket.close(id) end

--- Closes now; the id is still to be closed.
---@param id integer
function socket.shutdown(id) end

--- Closes an id that this service does not manage.
---@param id integer
function socket.close_fd(id) end

--- Forgets an id, which another service may start.
---@param id integer
function socket.abandon(id) end

--- Stops reading until the next read.
---@param id integer
function socket.pause(id) end

--- Sets a function that is called once when the socket closes.
---@param id integer
---@param callback? fun(id: integer)
function socket.onclose(id, callback) end

--- Sets a function that is told how much waits to be sent.
---@param id integer
---@param callback? fun(id: integer, size_k: integer)
function socket.warning(id, callback) end

--- Closes the socket when more than so many bytes arrive that nobody reads.
---@param id integer
---@param limit integer bytes
function socket.limit(id, limit) end

---@param id integer
---@return boolean? disconnected nil when unknown
function socket.disconnected(id) end

---@param id integer
---@return boolean unknown
function socket.invalid(id) end

--- 1 to 4 bytes as a number, the first the highest.
---@param s string
---@return integer
function socket.header(s) end

--- The addresses of a name. Blocks the worker.
---@param host string
---@return string[]
function socket.resolve(host) end

--- What is known of all sockets of the node.
---@return table[]
function socket.netstat() end

---@param callback fun(data: string, from: string)
---@param host? string
---@param port? integer
---@return integer id
function socket.udp(callback, host, port) end

---@param addr string
---@param port integer
---@param callback fun(data: string, from: string)
---@return integer id
function socket.udp_listen(addr, port, callback) end

---@param addr string
---@param port integer
---@param callback fun(data: string, from: string)
---@return integer id
function socket.udp_dial(addr, port, callback) end

--- Sets where `write` sends to.
---@param id integer
---@param addr string
---@param port integer
---@param callback? fun(data: string, from: string)
function socket.udp_connect(id, addr, port, callback) end

---@param id integer
---@param from string packed address
---@param data skynet.socket.data
---@return boolean
function socket.sendto(id, from, data) end

---@param from string packed address
---@return string ip
---@return integer port
function socket.udp_address(from) end

return socket
