-- loglines: the log service of the test nodes. Writes every line to standard output as the stock one does, keeps it, and
-- answers which lines have come: "count" -> how many; "find", first, text -> the first line from number `first` on with
-- `text` in it; "wait", first, text -> the same, answered when there is one.
local skynet = require "skynet"

local lines, waiting = {}, {}

skynet.register_protocol {
	name = "text",
	id = skynet.PTYPE_TEXT,
	unpack = skynet.tostring,
	dispatch = function(_, source, line)
		line = ("[:%08x] %s"):format(source, line)
		io.stdout:write(line, "\n")
		io.stdout:flush()
		lines[#lines + 1] = line
		for i = #waiting, 1, -1 do
			local w = waiting[i]
			if #lines >= w.first and line:find(w.text, 1, true) then
				table.remove(waiting, i)
				w.answer(true, line)
			end
		end
	end,
}

skynet.register_protocol {
	name = "system",
	id = skynet.PTYPE_SYSTEM,
	unpack = function() end,
	dispatch = function() lines[#lines + 1] = "reopen" end,
}

local command = {}

function command.count() skynet.retpack(#lines) end

local function find(first, text)
	for i = first, #lines do
		if lines[i]:find(text, 1, true) then return lines[i] end
	end
end

function command.find(first, text) skynet.retpack(find(first, text)) end

function command.wait(first, text)
	local line = find(first, text)
	if line then
		skynet.retpack(line)
	else
		waiting[#waiting + 1] = { first = first, text = text, answer = skynet.response() }
	end
end

-- Not in the start function: questions may be waiting here before it runs.
skynet.dispatch("lua", function(_, _, cmd, ...) command[cmd](...) end)

skynet.start(function() end)
