---@meta skynet.socketdriver

--- Sockets without waiting: results come as messages of type socket, which `unpack` opens.
---@class skynet.socketdriver
local driver = {}

--- A buffer for received data; with `framed` each piece is a frame, which `frame` takes out.
---@param framed? boolean
---@return userdata
function driver.buffer(framed) end

--- The next frame. Fulmar only.
---@param buffer userdata
---@return string?
function driver.frame(buffer) end

--- Takes data over; the bytes in the buffer.
---@param buffer userdata
---@param pool table
---@param msg lightuserdata
---@param sz integer
---@return integer total
function driver.push(buffer, pool, msg, sz) end

--- The next `sz` bytes, if there are so many.
---@param buffer userdata
---@param pool table
---@param sz integer
---@return string? data
---@return integer left
function driver.pop(buffer, pool, sz) end

--- The next line; without a pool only whether there is one.
---@param buffer userdata
---@param pool? table
---@param sep string
---@return string|true|nil
function driver.readline(buffer, pool, sep) end

--- All that is there.
---@param buffer userdata
---@param pool table
---@return string
function driver.readall(buffer, pool) end

--- Frees what is there.
---@param buffer userdata
---@param pool table
function driver.clear(buffer, pool) end

--- Frees data.
---@param msg lightuserdata
---@param sz integer
function driver.drop(msg, sz) end

--- A copy of a string, owned by the caller.
---@param s string
---@return lightuserdata msg
---@return integer sz
function driver.str2p(s) end

--- 1 to 4 bytes as a number, the first the highest.
---@param s string
---@return integer
function driver.header(s) end

--- What is known of all sockets of the node.
---@return table[]
function driver.info() end

--- Opens a message of type socket.
---@param msg lightuserdata
---@param sz integer
---@return integer type
---@return integer id
---@return integer ud
---@return lightuserdata|string data
---@return string? udp_address
function driver.unpack(msg, sz) end

--- Connects; the result comes as a message.
---@param addr string
---@param port? integer
---@param options? skynet.socket.options
---@return integer id
function driver.connect(addr, port, options) end

--- Listens; raises `Listen error`.
---@param host string
---@param port integer
---@param backlog? integer|skynet.socket.listen_options
---@return integer id
function driver.listen(host, port, backlog) end

--- The options of a socket, or nil. Fulmar only.
---@param id integer
---@return skynet.socket.options?
function driver.options(id) end

--- Changes the options that are given; false when there is no such socket, or half a frame is there and `frame` would change. Fulmar
--- only.
---@param id integer
---@param options skynet.socket.options
---@return boolean
function driver.configure(id, options) end

--- Begins to read or accept in this service.
---@param id integer
function driver.start(id) end

--- Stops reading until the next start.
---@param id integer
function driver.pause(id) end

--- Closes in order.
---@param id integer
function driver.close(id) end

--- Closes now.
---@param id integer
function driver.shutdown(id) end

--- Adopts a descriptor.
---@param fd integer
---@return integer id
function driver.bind(fd) end

--- Sends small packets at once.
---@param id integer
function driver.nodelay(id) end

--- Sends.
---@param id integer
---@param data skynet.socket.data
---@param sz? integer
---@return boolean
function driver.send(id, data, sz) end

--- Sends when nothing else waits.
---@param id integer
---@param data skynet.socket.data
---@param sz? integer
---@return boolean
function driver.lsend(id, data, sz) end

--- Sends one buffer to many. Fulmar only.
---@param ids integer[]
---@param data skynet.socket.data
---@param sz? integer
---@return integer count
function driver.broadcast(ids, data, sz) end

--- A socket for datagrams.
---@param host? string
---@param port? integer
---@return integer id
function driver.udp(host, port) end

--- Sets where `send` sends to.
---@param id integer
---@param addr string
---@param port integer
function driver.udp_connect(id, addr, port) end

--- A socket that sends to one place.
---@param addr string
---@param port integer
---@return integer id
function driver.udp_dial(addr, port) end

--- A bound socket.
---@param addr string
---@param port integer
---@return integer id
function driver.udp_listen(addr, port) end

--- Sends a datagram.
---@param id integer
---@param address string
---@param data skynet.socket.data
---@param sz? integer
---@return boolean
function driver.udp_send(id, address, data, sz) end

--- Opens a packed address.
---@param address string
---@return string ip
---@return integer port
function driver.udp_address(address) end

--- The addresses of a name. Blocks the worker.
---@param host string
---@return string[]
function driver.resolve(host) end

return driver
