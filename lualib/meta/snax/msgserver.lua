---@meta snax.msgserver

--- A gate server for users who have logged in. A client that has lost its connection gets the answers to its requests on the
--- next one, by their sessions.
---@class snax.msgserver
local msgserver = {}

--- The handlers. login, logout and kick are also commands in the protocol lua.
---@class snax.msgserver.conf
---@field login_handler async fun(uid: string, secret: string): subid: any
---@field logout_handler async fun(uid: string, subid: any)
---@field kick_handler async fun(uid: string, subid: any)
---@field request_handler async fun(username: string, message: string): string?  an answer; raising fails the request
---@field register_handler fun(servername: string): ...  called by the command "open", whose conf has a `servername`
---@field disconnect_handler (async fun(username: string))?
---@field expired_number integer?  answers that are kept at least for a next connection; default 128
---@field handshake_timeout integer?  centiseconds that a connection has to say who it is; default 3000. An addition to skynet's

---@param username string
---@return string uid
---@return string subid
---@return string servername
function msgserver.userid(username) end

---@param uid string
---@param subid string|integer
---@param servername string
---@return string username
function msgserver.username(uid, subid, servername) end

--- Lets a user in who shows that it knows the secret. Raises when the user is in already.
---@param username string
---@param secret string
function msgserver.login(username, secret) end

--- Forgets a user and ends its connection.
---@param username string
function msgserver.logout(username) end

--- The address of a user's connection, when there is one.
---@param username string
---@return string?
function msgserver.ip(username) end

--- Makes this service a message server.
---@param conf snax.msgserver.conf
function msgserver.start(conf) end

return msgserver
