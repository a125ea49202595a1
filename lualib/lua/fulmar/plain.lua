-- fulmar.plain: what is read in place as plain tables.
local tables = require "fulmar.tables"

local function plain(value)
	if not tables.isbox(value) then
		return value
	end
	local copy = {}
	for k, v in pairs(value) do
		copy[k] = plain(v)
	end
	return copy
end

return plain
