-- What client and server say to each other, in frames with a length of two bytes. The schemas lie beside this file.
local sproto = require "sproto"

local _, path = ...
local folder = path:match "^(.*/)" or ""

local function schema(name)
	local file = assert(io.open(folder .. name))
	local text = file:read "a"
	file:close()
	return sproto.parse(text)
end

return {
	from_client = schema "client.sproto",
	from_server = schema "server.sproto",
}
