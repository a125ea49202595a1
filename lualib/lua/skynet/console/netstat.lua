-- The records of socket.netstat() as rows for the console.
local skynet = require "skynet"

local function bytes(n)
	if n >= 1 << 20 then
		return ("%.1fM"):format(n / (1 << 20))
	elseif n >= 1 << 10 then
		return ("%.1fK"):format(n / (1 << 10))
	end
	return tostring(n)
end

-- How long ago, as `[[h:]m:]<s>s`.
local function ago(cs)
	cs = skynet.now() - cs
	local minutes, seconds = cs // 6000, cs % 6000 / 100
	if minutes == 0 then
		return ("%gs"):format(seconds)
	elseif minutes < 60 then
		return ("%d:%gs"):format(minutes, seconds)
	end
	return ("%d:%d:%gs"):format(minutes // 60, minutes % 60, seconds)
end

local shape = {
	address = skynet.address,
	read = bytes,
	write = bytes,
	wbuffer = function(n) return n > 0 and bytes(n) or nil end,
	rtime = ago,
	wtime = ago,
}

return function(records)
	for _, record in ipairs(records) do
		for key, f in pairs(shape) do
			if record[key] then
				record[key] = f(record[key])
			end
		end
	end
	return records
end
