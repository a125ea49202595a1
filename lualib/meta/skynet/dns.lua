---@meta skynet.dns

--- Addresses of names, from the hosts file or a name server.
---@class skynet.dns
---@field DEFAULT_HOSTS string  the hosts file; may be changed
---@field DEFAULT_RESOLV_CONF string  where `server` looks; may be changed
local dns = {}

dns.DEFAULT_HOSTS = "/etc/hosts"
dns.DEFAULT_RESOLV_CONF = "/etc/resolv.conf"

--- Says which name server to ask. Nothing changes when none is given and the resolver's file names none.
---@param server? string  the first one of the resolver's file when not given
---@param port? integer  53 when not given
function dns.server(server, port) end

--- The addresses of a name: from the hosts file, from answers that still hold, or from the server. A literal address comes back as
--- it is. Raises `Call dns.server first` when no server is known, and `timeout or no answer` after 30 seconds, or when the server has none; an old answer is preferred to that.
---@async
---@param name string
---@param ipv6? boolean  IPv6 addresses instead of IPv4 ones
---@return string? address  the first one; nil and `illegal name` for what is no name
---@return string[]|string|nil addresses
function dns.resolve(name, ipv6) end

--- Forgets all answers, and what the hosts file said.
function dns.flush() end

return dns
