//! Shared tables where memory is short.

use fulmar_tests::Scratch;

/// Fifty tables are updated while there is no memory for messages: not for those either that tell who follows them.
const MAIN: &str = r#"
local skynet = require "skynet"
require "skynet.manager"
local sharedata = require "skynet.sharedata"

-- Takes all memory that messages may have. Returns what gives it back.
local function hoard()
	local blocks = {}
	for _, bytes in ipairs { 1 << 20, 1 << 16, 1 << 12, 1 << 8, 16, 0 } do
		local text = ("x"):rep(bytes)
		while true do
			local ok, block, size = pcall(skynet.pack, text)
			if not ok then break end
			blocks[#blocks + 1] = { block, size }
		end
	end
	return function()
		for _, block in ipairs(blocks) do skynet.trash(block[1], block[2]) end
	end
end

skynet.start(function()
	local followed = {}
	for i = 1, 50 do
		local name = "followed" .. i
		sharedata.new(name, { n = 1 })
		followed[name] = sharedata.query(name)
	end
	for n = 2, 4 do
		skynet.sleep(5)	-- the service of the tables waits for the next versions
		local token, release = {}, nil
		skynet.timeout(10, function()
			release()
			skynet.wakeup(token)
		end)
		release = hoard()
		for name in pairs(followed) do sharedata.patch(name, "n", n) end
		skynet.wait(token)	-- the service of the tables hears of it, and has no memory to tell us
		local left
		for _ = 1, 300 do
			left = 0
			for _, t in pairs(followed) do left = left + (t.n ~= n and 1 or 0) end
			if left == 0 then break end
			skynet.sleep(1)
		end
		assert(left == 0, left .. " tables stayed as they were")
	end
	print "all have followed"
	skynet.abort()
end)
"#;

#[test]
fn updates_are_told_when_there_is_memory_again() {
    let scratch = Scratch::new();
    scratch.write("main.lua", MAIN);
    let services = format!("{}/?.lua", scratch.path().display());
    let run = scratch.node(&[
        ("start", "main"),
        ("thread", "1"),
        ("luaservice", &services),
        ("fulmar_arena_limit", "16"),
    ]);
    let ended = run.end().expect_code(0);
    assert!(ended.out.contains("all have followed"), "{}", ended.text());
}
