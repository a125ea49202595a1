---@meta client.socket

--- Connections that block, for scripts that have nothing else to do meanwhile. Services use `skynet.socket`.
---@class client.socket
local socket = {}

--- Connects. Raises `Connect <host> <port> failed`.
---@param host string
---@param port integer
---@return integer fd  a number of this module's, valid in this service
function socket.connect(host, port) end

--- What has come, without waiting: nil for nothing yet, "" when the peer sends no more.
---@param fd integer
---@return string?
function socket.recv(fd) end

--- Returns when the system has taken all of it.
---@param fd integer
---@param data string
function socket.send(fd, data) end

--- Ends one direction, or both.
---@param fd integer
---@param how "r"|"w"|"rw"
function socket.shutdown(fd, how) end

---@param fd integer
function socket.close(fd) end

--- Sleeps.
---@param us integer  microseconds
function socket.usleep(us) end

--- A line of the standard input, when one has been typed. At the end of the input the node ends.
---@return string?
function socket.readstdin() end

return socket
