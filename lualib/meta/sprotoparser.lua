---@meta sprotoparser

--- The compiler of schemas.
---@class sprotoparser
local parser = {}

--- A schema's text as a bundle. Raises an error that names the place and what is wrong there.
---@param text string
---@param name? string  what errors call the text; "=text" by default
---@return string bin
function parser.parse(text, name) end

--- Prints a bundle in hexadecimal.
---@param bin string
function parser.dump(bin) end

return parser
