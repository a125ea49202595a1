-- console: starts a service for each line of the standard input.
local skynet = require "skynet"
local socket = require "skynet.socket"

-- Failures are in the log already.
local function execute(line)
	local words = {}
	for word in line:gmatch "%S+" do
		words[#words + 1] = word
	end
	if words[1] == "snax" then
		pcall(function()
			return require "skynet.snax".newservice(table.unpack(words, 2))
		end)
	elseif words[1] then
		pcall(skynet.newservice, table.unpack(words))
	end
end

skynet.start(function()
	skynet.fork(function()
		local input = assert(socket.stdin())
		while true do
			-- the end of the input shows in the log, once
			execute(assert(socket.readline(input), "end of standard input"))
		end
	end)
end)
