-- sprotoloader: sixteen places, 0 to 15, for schemas that all services of a node read. Fill them before others read.
local core = require "sproto.core"
local parser = require "sprotoparser"
local sproto = require "sproto"

local loader = {}

local function save(bin, index)
	local cobj = assert(core.newproto(bin))
	local ok, err = pcall(core.saveproto, cobj, index)
	core.deleteproto(cobj)
	if not ok then
		error(err, 0)
	end
end

-- Parses a file into a place.
function loader.register(filename, index)
	local file = io.open(filename)
	if not file then
		error("Can't open sproto file", 2)
	end
	local text = file:read "a"
	file:close()
	save(parser.parse(text, filename), index)
end

-- Puts a bundle into a place.
function loader.save(bin, index)
	save(bin, index)
end

-- The schema in a place.
function loader.load(index)
	return sproto.sharenew(core.loadproto(index))
end

return loader
