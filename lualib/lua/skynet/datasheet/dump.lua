-- skynet.datasheet.dump: sheets as binary documents, all numbers little-endian:
--
--   u32 where the strings begin; u32 n; u32 offset[n], counted from the end of this index, or ABSENT; tables; strings, each with a zero
--   table: u32 array; u32 dict; u8 type[array + dict], padded to 4; value[array]; { u32 key, counted from the strings; value }[dict]
--
-- Table 0 is the root. A value takes four bytes.
local dump = {}

local ABSENT <const> = 0xffffffff
local NIL <const>, INTEGER <const>, FLOAT <const>, BOOLEAN <const>, TABLE <const>, STRING <const> = 0, 1, 2, 3, 4, 5
local MAX_DEPTH <const> = 100

local function unsupported(value)
	error(("Unsupport value %s"):format(tostring(value)), 0)
end

-- Writes the tables below `root`. `index_of(t, path)` chooses the number of a table.
local function write(root, index_of)
	local strings, places, string_bytes = {}, {}, 0
	local bodies, last = {}, -1

	local function text(s)
		s = s:match "^[^\0]*"
		local place = places[s]
		if not place then
			place = string_bytes
			places[s] = place
			strings[#strings + 1] = s
			string_bytes = string_bytes + #s + 1
		end
		return place
	end

	local add

	-- Type and bytes of a value.
	local function pack(value, path, depth)
		local kind = type(value)
		if kind == "number" then
			if math.type(value) == "integer" and value >= -0x80000000 and value <= 0x7fffffff then
				return INTEGER, ("<i4"):pack(value)
			end
			return FLOAT, ("<f"):pack(value)
		elseif kind == "boolean" then
			return BOOLEAN, ("<I4"):pack(value and 1 or 0)
		elseif kind == "string" then
			return STRING, ("<I4"):pack(text(value))
		elseif kind == "table" then
			return TABLE, ("<I4"):pack(add(value, path, depth + 1))
		end
		unsupported(value)
	end

	function add(t, path, depth)
		if depth > MAX_DEPTH then
			error("Unsupport value: tables nested too deep", 0)
		end
		local index = index_of(t, path)
		last = math.max(last, index)
		bodies[index] = ""	-- taken
		local types, values, names = {}, {}, {}
		local array = #t
		for i = 1, array do
			local kind, bytes = pack(t[i], path .. "." .. i, depth)
			types[i], values[i] = string.char(kind), bytes
		end
		for k in pairs(t) do
			if type(k) == "string" then
				names[#names + 1] = k
			elseif math.type(k) ~= "integer" or k < 1 or k > array then
				unsupported(k)
			end
		end
		table.sort(names)
		for i, k in ipairs(names) do
			local kind, bytes = pack(t[k], path .. "." .. k, depth)
			types[array + i], values[array + i] = string.char(kind), ("<I4"):pack(text(k)) .. bytes
		end
		local kinds = table.concat(types)
		bodies[index] = ("<I4I4"):pack(array, #names) .. kinds .. ("\0"):rep(-#kinds % 4) .. table.concat(values)
		return index
	end

	add(root, "", 1)
	local index, parts, at = {}, {}, 0
	for i = 0, last do
		local body = bodies[i]
		index[#index + 1] = ("<I4"):pack(body and at or ABSENT)
		if body then
			parts[#parts + 1] = body
			at = at + #body
		end
	end
	local head = 8 + 4 * (last + 1)
	return ("<I4I4"):pack(head + at, last + 1) .. table.concat(index) .. table.concat(parts)
		.. table.concat(strings, "\0") .. (strings[1] and "\0" or "")
end

function dump.dump(t)
	if type(t) ~= "table" then
		unsupported(t)
	end
	local next_index = -1
	return write(t, function()
		next_index = next_index + 1
		return next_index
	end)
end

-- The table of a document, and the numbers of all tables by themselves.
function dump.undump(s)
	local strings, n = ("<I4I4"):unpack(s)
	local bodies = 8 + 4 * n
	assert(bodies <= #s and strings <= #s, "Invalid document")
	local index, made = {}, {}

	local function text(place)
		return (("z"):unpack(s, strings + place + 1))
	end

	local function read(i, depth)
		assert(i < n and depth <= MAX_DEPTH, "Invalid document")
		if made[i] then
			return made[i]
		end
		local offset = ("<I4"):unpack(s, 8 + 4 * i + 1)
		assert(offset ~= ABSENT, "Invalid document")
		local at = bodies + offset + 1
		local array, dict = ("<I4I4"):unpack(s, at)
		local types = at + 8
		assert(array + dict <= #s, "Invalid document")
		at = types + (array + dict + 3) // 4 * 4
		local t = {}
		made[i], index[t] = t, i

		local function value(place)
			local kind, v = s:byte(types + place), nil
			if kind == NIL then
				return nil
			elseif kind == INTEGER then
				v = ("<i4"):unpack(s, at)
			elseif kind == FLOAT then
				v = ("<f"):unpack(s, at)
			elseif kind == BOOLEAN then
				v = ("<I4"):unpack(s, at) ~= 0
			elseif kind == TABLE then
				v = read(("<I4"):unpack(s, at), depth + 1)
			elseif kind == STRING then
				v = text(("<I4"):unpack(s, at))
			else
				error "Invalid document"
			end
			return v
		end

		for place = 0, array - 1 do
			t[place + 1] = value(place)
			at = at + 4
		end
		for place = array, array + dict - 1 do
			local k = text(("<I4"):unpack(s, at))
			at = at + 4
			t[k] = value(place)
			at = at + 4
		end
		return t
	end

	return read(0, 1), index
end

-- The new document, numbered so that a table which the old one has at the same path keeps its number.
function dump.diff(old, new)
	local old_root, numbers = dump.undump(old)
	local new_root = dump.undump(new)
	local by_path, highest = {}, -1
	local function walk(t, path)
		by_path[path] = numbers[t]
		highest = math.max(highest, numbers[t])
		for k, v in pairs(t) do
			if type(v) == "table" then
				walk(v, path .. "." .. k)
			end
		end
	end
	walk(old_root, "")
	local taken = {}
	return write(new_root, function(_, path)
		local number = by_path[path]
		if not number or taken[number] then
			highest = highest + 1
			number = highest
		end
		taken[number] = true
		return number
	end)
end

return dump
