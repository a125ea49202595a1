-- Three lists must agree: the names of skynet's API (names.lua), what the modules really have, and what the definitions for
-- editors say (lualib/meta, which are Lua files: run, they give the same tables).
local skynet = require "skynet"
local memlimit = skynet.memlimit
require "skynet.manager"
local try = require "try"

local folder = skynet.getenv "suite"
local names = assert(loadfile(folder .. "names.lua"))()

local function meta(module)
	local file = ("%s../../lualib/meta/%s.lua"):format(folder, module:gsub("%.", "/"))
	return assert(loadfile(file))(module, file)
end

local function words(lists)
	local set = {}
	for _, list in ipairs(lists) do
		for word in list:gmatch "%S+" do set[word] = "function" end
	end
	for word in (lists.fields or ""):gmatch "%S+" do set[word] = "field" end
	return set
end

-- the names of `a` that are not in `b`
local function missing(a, b)
	local list = {}
	for name in pairs(a) do
		if b[name] == nil and (type(name) ~= "string" or name:sub(1, 1) ~= "_") then list[#list + 1] = tostring(name) end
	end
	table.sort(list)
	return table.concat(list, " ")
end

try.main(function()
	require "skynet.datasheet.builder"	-- skynet.datasheet waits for a service that requires it
	for module, lists in pairs(names) do
		if lists == "function" then
			try.case(module .. " is a function, and so is its definition", function()
				try.equal(type(require(module)), "function")
				try.equal(type(meta(module)), "function")
			end)
		else
			local registered, defined = require(module), meta(module)
			local wanted = words(lists)
			try.case(module .. ": every name of skynet's is there, and is what it should be", function()
				try.equal(missing(wanted, registered), "")
				for name, kind in pairs(wanted) do
					if kind == "function" then try.equal(type(registered[name]), "function", name) end
				end
			end)
			try.case(module .. ": every name of skynet's is described", function()
				for name, kind in pairs(wanted) do
					if kind == "function" then try.equal(type(defined[name]), "function", name) end
				end
			end)
			try.case(module .. ": nothing is described that is not there", function()
				local here = setmetatable({}, { __index = registered })
				for name in (lists.once or ""):gmatch "%S+" do here[name] = true end
				try.equal(missing(defined, here), "")
			end)
			if module ~= "skynet.manager" then -- which gives the table of skynet, with its names added
				try.case(module .. ": nothing is there that is not described", function()
					local described = setmetatable({}, { __index = defined })
					if module == "skynet" then
						for name, value in pairs(meta "skynet.manager") do described[name] = value end
						described.queue = meta "skynet.queue"
					end
					for name in ((lists.fields or "") .. " " .. (lists.inner or "")):gmatch "%S+" do described[name] = true end
					try.equal(missing(registered, described), "")
				end)
			end
		end
	end
	try.case("memlimit is there in the main chunk", function() try.equal(type(memlimit), "function") end)
end)
