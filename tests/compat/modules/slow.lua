-- Waits while it loads, and counts its loads.
local skynet = require "skynet"
SLOW_LOADS = (SLOW_LOADS or 0) + 1
skynet.sleep(2)
local name, file = ...
return { loads = SLOW_LOADS, name = name, file = file }
