-- fulmar.build: a program's values as the store takes them, though there be tables in them that are read in place, or have a __pairs.
local tables = require "fulmar.tables"

local MAX_DEPTH <const> = 200	-- deeper than any image

-- Plain tables of all that is in a value, as `pairs` gives it. What is one table stays one.
local function unfolded(value, known, depth)
	if type(value) ~= "table" then
		return value
	end
	local copy = known[value]
	if not copy then
		if depth > MAX_DEPTH then
			error "serialize can't pack too depth table"
		end
		copy = {}
		known[value] = copy
		for k, v in pairs(value) do
			copy[k] = unfolded(v, known, depth + 1)
		end
	end
	return copy
end

local build = {}

-- Such tables are no data to `tables`; they are rare, so it is asked first.
function build.image(t, rules)
	local ok, image = pcall(tables.build, t, rules, true)
	return ok and image or tables.build(unfolded(t, {}, 1), rules)
end

-- Whether there is a table `name`, which has another value under the keys now.
function build.patch(name, value, ...)
	local ok, known = pcall(tables.patch, name, value, ...)
	if ok then
		return known
	end
	return tables.patch(name, unfolded(value, {}, 1), ...)
end

return build
