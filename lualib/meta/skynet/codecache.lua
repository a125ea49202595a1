---@meta skynet.codecache

--- Compiled Lua files, kept for the whole node: a file that was loaded once is not read again.
---@class skynet.codecache
local codecache = {}

--- Forgets all: services that start from now on load fresh code.
function codecache.clear() end

--- Sets how this service uses the cache: "OFF" goes past it, "EXIST" takes from it but adds nothing. Without argument it
--- tells the mode.
---@param mode? "ON"|"OFF"|"EXIST"
---@return string?
function codecache.mode(mode) end

--- loadfile through the cache.
---@param filename string
---@param mode? "b"|"t"|"bt"
---@param env? table
---@return function?
---@return string? err
function codecache.loadfile(filename, mode, env) end

return codecache
