-- Has an initialiser, required from a main chunk.
local skynet = require "skynet"
local M = {}
skynet.init(function() M.ready = true end)
return M
