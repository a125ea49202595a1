---@meta skynet.queue

---@class skynet
local skynet = {}

--- Makes a critical section: cs(f, ...) runs f(...) while no other coroutine is inside, first come, first served, and
--- returns what it returns. The coroutine inside may enter again. The module itself is this function.
---@return fun(f: (fun(...): ...), ...): ... cs  suspends while another coroutine is inside
function skynet.queue() end

return skynet.queue
