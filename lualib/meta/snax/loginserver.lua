---@meta snax.loginserver

---@class snax.loginserver.conf
---@field host string?  default 0.0.0.0
---@field port integer|string
---@field name string?  the master's local name without the dot; default `login`
---@field instance integer?  how many services do handshakes; default 8
---@field multilogin boolean?  a user may log in while another login of the same user is under way
---@field handshake_timeout integer?  centiseconds that a client has for its lines; default 3000. An addition to skynet's
---@field auth_handler async fun(token: string): server: string, uid: string  checks a client's token; raises to refuse it
---@field login_handler async fun(server: string, uid: string, secret: string): subid: string?  logs a user in there; raises to refuse it
---@field command_handler async fun(cmd: string, ...): ...  what the master is asked in the protocol lua; its results are the answer

--- Makes this service a login server. The script runs once as the master, which starts it again as its instances.
---@param conf snax.loginserver.conf
local function loginserver(conf) end

return loginserver
