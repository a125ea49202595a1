-- sprotoparser: schemas as text to bundles, which sproto.new and sprotoloader.save take.
local core = require "sproto.core"

local parser = {}

-- `name` is what errors call the text; "=text" by default.
parser.parse = core.parse

-- Prints a bundle in hexadecimal, sixteen bytes a line.
function parser.dump(bin)
	for start = 1, #bin, 16 do
		local line = {}
		for place = start, math.min(start + 15, #bin) do
			line[#line + 1] = ("%02X "):format(bin:byte(place))
			if place == start + 7 and place < #bin then
				line[#line + 1] = "- "
			end
		end
		print(table.concat(line))
	end
end

return parser
