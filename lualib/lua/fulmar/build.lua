-- fulmar.build: images of a program's tables, in which there may be tables that are read in place.
local tables = require "fulmar.tables"

-- Plain tables of all that is in a value. What is one table stays one.
local function unfolded(value, known)
	if type(value) ~= "table" then
		return value
	end
	local copy = known[value]
	if not copy then
		copy = {}
		known[value] = copy
		for k, v in tables.next, value do
			copy[k] = unfolded(v, known)
		end
	end
	return copy
end

-- Tables that are read in place are no data to `tables.build`; they are rare, so it is asked first.
local function build(value, rules)
	local ok, image = pcall(tables.build, value, rules)
	if ok then
		return image
	end
	return tables.build(unfolded(value, {}), rules)
end

return build
