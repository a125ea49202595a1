-- What a new service finds: the same as if its state had been set up for it alone.
local first = math.random(0)

-- Objects that tables use as keys. Copies of a state are at other addresses, so what all services start with must have none.
local function object_keys()
	local seen, found = {}, {}
	local visit

	local function visit_function(f)
		for i = 1, 255 do
			local name, value = debug.getupvalue(f, i)
			if not name then break end
			visit(value)
		end
	end

	local function visit_table(t)
		for k, v in next, t do
			local kind = type(k)
			if kind == "table" or kind == "function" or kind == "thread" then
				found[#found + 1] = kind
			end
			visit(k)
			visit(v)
		end
	end

	function visit(v)
		local kind = type(v)
		if kind ~= "table" and kind ~= "function" and kind ~= "userdata" or seen[v] or v == seen or v == found then return end
		seen[v] = true
		visit(debug.getmetatable(v))
		if kind == "table" then visit_table(v) elseif kind == "function" then visit_function(v) end
	end

	visit(debug.getregistry())
	local count = 0
	for _ in next, seen do count = count + 1 end
	return found, count
end

local loaded_before = {}
for name in next, package.loaded do loaded_before[#loaded_before + 1] = name end
table.sort(loaded_before)

local skynet, extra = require "skynet"
local keys, walked = object_keys()
local try = require "try"

-- Where the objects are that a service finds, seen from one of them.
local function places()
	local list, base = {}, tonumber(("%p"):format(string):sub(3), 16)
	for _, module in ipairs { "_G", "coroutine", "debug", "io", "math", "os", "package", "table", "utf8", "skynet", "skynet.core" } do
		list[#list + 1] = tonumber(("%p"):format(package.loaded[module]):sub(3), 16) - base
	end
	for _, name in ipairs { "dispatch", "exit", "init_service", "newservice", "register_protocol", "start" } do
		list[#list + 1] = tonumber(("%p"):format(skynet[name]):sub(3), 16) - base
	end
	return list
end

local roles = {}

function roles.copied()
	skynet.start(function()
		skynet.dispatch("lua", function()
			skynet.retpack(places())
		end)
	end)
end

function roles.fresh()
	skynet.start(function()
		skynet.dispatch("lua", function()
			skynet.retpack(first, #keys, walked, loaded_before, extra)
		end)
	end)
end

if try.role(roles, ...) then return end

try.main(function()
	try.ours("no object is a key in what services start with", function()
		local _, object_keys, walked = skynet.call(try.start "fresh", "lua")
		try.equal(object_keys, 0)
		try.yes(walked > 200, "the walk saw " .. walked)
	end)

	try.ours("services start as copies of one image", function()
		local model = places()
		for _ = 1, 5 do
			local list = skynet.call(try.start "copied", "lua")
			for i, place in ipairs(model) do
				try.yes(math.abs(place) < 65536, "an object is elsewhere")
				try.equal(list[i], place)
			end
		end
	end)

	try.ours("math.random is not the same in two services", function()
		local a = skynet.call(try.start "fresh", "lua")
		local b = skynet.call(try.start "fresh", "lua")
		try.yes(a ~= b)
	end)

	try.ours("nothing counts as loaded before somebody requires it", function()
		local _, _, _, loaded, extra = skynet.call(try.start "fresh", "lua")
		try.equal(table.concat(loaded, " "), "_G coroutine debug io math os package skynet.require string table utf8")
		try.equal(extra, "lualib/skynet.lua")
	end)

	try.ours("skynet is made of what the program has put in its place", function()
		try.equal(skynet.call(skynet.newservice "image_own", "lua"), true)
	end)

	try.ours("a searcher of the program's own is asked for the parts of skynet", function()
		try.equal(skynet.call(skynet.newservice "image_searcher", "lua"), true)
	end)

	try.ours("a loader that is out of date says so", function()
		local ok, err = skynet.call(skynet.newservice "image_loader", "lua")
		try.equal(ok, false)
		try.equal(err, "this loader is out of date")
	end)

	try.case("skynet.manager adds fields, which the program may take away or replace", function()
		require "skynet.manager"
		local names = {}
		for name in pairs(skynet) do names[name] = true end
		for _, name in ipairs { "launch", "kill", "abort", "register", "name", "forward_type", "filter", "monitor" } do
			try.yes(names[name], name)
		end
		local abort, launch = skynet.abort, skynet.launch
		skynet.abort, skynet.launch = nil, print
		skynet.register ".t_image"
		try.equal(skynet.localname ".t_image", skynet.self())
		try.equal(skynet.abort, nil)
		try.equal(skynet.launch, print)
		skynet.abort, skynet.launch = abort, launch
	end)
end)
