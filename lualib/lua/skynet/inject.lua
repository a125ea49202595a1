-- skynet.inject: runs code inside a living service, with what its functions hold in reach.

-- Collects the tables that `f` and the functions in its upvalues hold, by name.
local function tables_of(f, found, seen)
	found, seen = found or {}, seen or {}
	if seen[f] then
		return found
	end
	seen[f] = true
	local i = 1
	while true do
		local name, value = debug.getupvalue(f, i)
		if not name then
			return found
		end
		if type(value) == "table" then
			found[name] = value
		elseif type(value) == "function" then
			tables_of(value, found, seen)
		end
		i = i + 1
	end
end

-- Runs `source` and returns whether it went well, and what it printed: an array of lines, with the error at its end.
return function(skynet, source, filename, args, ...)
	local output = {}

	local function print(...)
		local line = table.pack(...)
		for i = 1, line.n do
			line[i] = tostring(line[i])
		end
		output[#output + 1] = table.concat(line, "\t")
	end

	local held = {}
	for _, f in ipairs { ... } do
		tables_of(f, held)
	end
	local protocols = {}
	for key, proto in pairs(skynet._proto) do
		if type(key) == "string" and proto.dispatch then
			protocols[key] = tables_of(proto.dispatch)
		end
	end

	local env = setmetatable({ print = print, _U = held, _P = protocols }, { __index = _ENV })
	local main, err = load(source, filename and "@" .. filename or "=(load)", "bt", env)
	if not main then
		return false, { err }
	end
	local ok, problem = pcall(main, table.unpack(args, 1, args.n))
	if not ok then
		output[#output + 1] = tostring(problem)
	end
	return ok, output
end
