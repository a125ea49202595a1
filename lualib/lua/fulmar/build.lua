-- fulmar.build: a program's values as the store takes them, though there be tables in them that are read in place, or have a __pairs.
local tables = require "fulmar.tables"

-- Plain tables of all that is in a value, as `pairs` gives it. What is one table stays one.
local function unfolded(value, known)
	if type(value) ~= "table" then
		return value
	end
	local copy = known[value]
	if not copy then
		copy = {}
		known[value] = copy
		for k, v in pairs(value) do
			copy[k] = unfolded(v, known)
		end
	end
	return copy
end

local build = {}

-- Such tables are no data to `tables`; they are rare, so it is asked first.
function build.image(t, rules)
	local ok, image = pcall(tables.build, t, rules)
	return ok and image or tables.build(unfolded(t, {}), rules)
end

-- Whether there is a table `name`, which has another value under the keys now.
function build.patch(name, value, ...)
	local ok, known = pcall(tables.patch, name, value, ...)
	if ok then
		return known
	end
	return tables.patch(name, unfolded(value, {}), ...)
end

return build
