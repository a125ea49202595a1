---@meta skynet.netpack

--- Frames with a length of two bytes, the high one first, for services that take socket messages themselves.
---@class skynet.netpack
local netpack = {}

--- The streams of a service's connections and the frames that were not fetched.
---@class skynet.netpack.queue: userdata

--- A copy with its length before it. Raises `Invalid size (too long) of data : <n>` from 65536 bytes on.
---@param msg string|lightuserdata
---@param sz? integer  with a pointer
---@return lightuserdata msg  owned by the caller
---@return integer sz
function netpack.pack(msg, sz) end

--- What a socket message means. By type:
---
--- - `"data"`, fd, msg, sz: exactly one frame, which the caller owns
--- - `"more"`: frames that `pop` gives
--- - `"open"`, fd, address: a new connection
--- - `"close"`, fd
--- - `"error"`, fd, text
--- - `"warning"`, fd, KiB that wait to be sent
--- - `"init"`, id, address, port: a socket is connected, listens, or was started
---
--- Only the queue comes back while no frame is whole.
---@param queue skynet.netpack.queue?  nil at first
---@param msg lightuserdata
---@param sz integer
---@return skynet.netpack.queue? queue  to be kept for the next call
---@return string? type
---@return any ...
function netpack.filter(queue, msg, sz) end

--- The next frame; nothing when there is none.
---@param queue skynet.netpack.queue?
---@return integer? fd
---@return lightuserdata msg  owned by the caller
---@return integer sz
function netpack.pop(queue) end

--- Frees all frames, and what has come of others.
---@param queue skynet.netpack.queue?
function netpack.clear(queue) end

--- Turns a frame into a string; the frame is gone then.
---@param msg lightuserdata?  nil gives ""
---@param sz integer
---@return string
function netpack.tostring(msg, sz) end

return netpack
