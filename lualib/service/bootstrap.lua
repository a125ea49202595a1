-- bootstrap: the first Lua service of a node. Starts the system services in their order, then the program's own
-- first service, and is gone. A node whose system services cannot start ends.
local skynet = require "skynet"
require "skynet.manager"

local function start_system(name)
	local ok, handle = pcall(skynet.newservice, name)
	if not ok then
		skynet.abort()
		skynet.exit()
	end
	return handle
end

local function start_tls()
	require "skynet.service".new("ltls_holder", load "require 'ltls.init.c'.constructor()")
end

skynet.start(function()
	skynet.name(".launcher", assert(skynet.launch("snlua", "launcher")))

	local is_master = skynet.getenv "standalone"
	if tonumber(skynet.getenv "harbor" or 0) == 0 then
		assert(not is_master, "standalone has no meaning when harbor is 0")
		is_master = true
		skynet.setenv("standalone", "true")
		skynet.name(".cslave", start_system "cdummy")
	else
		if is_master then
			start_system "cmaster"
		end
		skynet.name(".cslave", start_system "cslave")
	end
	if is_master then
		skynet.name("DATACENTER", skynet.newservice "datacenterd")
	end
	skynet.newservice "service_mgr"
	if skynet.getenv "enablessl" == "true" then
		start_tls()
	end

	pcall(skynet.newservice, skynet.getenv "start" or "main")
	skynet.exit()
end)
