-- skynet.stm: a value with one writer and any number of readers, each of which sees the last one whenever it looks.
local skynet = require "skynet"
local core = require "skynet.stm.core"

local watch, unread = core.watch, core.unread

-- Waits until there is something to read, for `ti` centiseconds at most: true; or false when the time is over or the writer is
-- gone.
function core.methods:wait(ti)
	local token = {}
	local watching <close> = watch(self, function() skynet.wakeup(token) end)
	if watching then
		if ti then
			skynet.sleep(ti, token)
		else
			skynet.wait(token)
		end
	end
	return unread(self)
end

return core.public
