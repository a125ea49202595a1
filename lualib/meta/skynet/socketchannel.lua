---@meta skynet.socketchannel

--- Requests and answers on one connection that is made again when it is lost.
---@class skynet.socketchannel
local socketchannel = {}

--- What requests raise when the connection is lost; `tostring` gives `[Error: socket]`.
---@class skynet.socketchannel.error
socketchannel.error = {}

--- What response functions read from. Both methods raise `socketchannel.error` when the connection ends.
---@class skynet.socketchannel.connection
---@field [1] integer  the socket's id
---@field read async fun(self, size?: integer): string
---@field readline async fun(self, separator?: string): string

--- Another host to try.
---@class skynet.socketchannel.backup
---@field host string
---@field port? integer  the channel's when not given

---@class skynet.socketchannel.desc
---@field host string  with `port` absent: `host:port`
---@field port? integer
---@field response? async fun(sock: skynet.socketchannel.connection): any, boolean, any, boolean?  session mode: reads one packet; gives its session, whether all is well, the data (or the error), and whether more of this answer follows
---@field auth? async fun(channel: skynet.socketchannel.channel)  runs on each new connection before anything else; an error refuses it
---@field backup? (string|skynet.socketchannel.backup)[]  tried in their order when the host fails
---@field nodelay? boolean
---@field overload? fun(begun: boolean)  the peer has stopped or begun again to take what is sent
---@field socket_read? async fun(sock: skynet.socketchannel.connection, size?: integer): string
---@field socket_readline? async fun(sock: skynet.socketchannel.connection, separator?: string): string

---@param desc skynet.socketchannel.desc
---@return skynet.socketchannel.channel
function socketchannel.channel(desc) end

---@class skynet.socketchannel.channel
local channel = {}

--- Connects, if there is no connection. Those who connect at the same time share one attempt.
---@async
---@param once? boolean  one round over host and backups, and an error when none will have us; otherwise again and again, with longer and longer waits between
---@return boolean connected  false when the channel was closed meanwhile
function channel:connect(once) end

--- Sends a request, connecting first if need be, and waits for its answer. Raises `socketchannel.error` when the connection is
--- lost, what the response function has raised, or the data of an answer that says that not all is well.
---@async
---@param request string|string[]
---@param response? any  order mode: `function(sock) -> ok, data, more`, which reads the answer; session mode: the session. Without it nothing is waited for
---@param padding? string[]  further parts; all is sent with low priority then
---@return any data  an array when the answer came in parts
function channel:request(request, response, padding) end

--- Waits for an answer without sending anything.
---@async
---@param response any  as for `request`
---@return any data
function channel:response(response) end

--- Ends the connection; requests that wait fail. Nothing works until `connect` is called.
function channel:close() end

--- Names another place. What waits for answers from the old one fails.
---@param host string
---@param port? integer  the old one when not given
function channel:changehost(host, port) end

--- Names other backups.
---@param backup (string|skynet.socketchannel.backup)[]?
function channel:changebackup(backup) end

return socketchannel
