-- skynet.datacenter: trees of values for everybody, and waiting for one.
local skynet = require "skynet"
local datacenter = require "skynet.datacenter"
local try = require "try"

try.main(function()
	try.case("set gives the old value, get what is there", function()
		try.equal(datacenter.get "dc_none", nil)
		try.equal(datacenter.get("dc_none", "deeper"), nil)
		try.equal(datacenter.set("dc_a", 1), nil)
		try.equal(datacenter.set("dc_a", 2), 1)
		try.equal(datacenter.get "dc_a", 2)
		datacenter.set("dc_t", "k", "v", "leaf")
		try.equal(datacenter.get("dc_t", "k").v, "leaf")
		try.equal(datacenter.get("dc_t", "k", "v"), "leaf")
	end)

	try.case("wait for what is there already", function()
		datacenter.set("dc_there", true)
		try.equal(datacenter.wait "dc_there", true)
	end)

	try.case("wait for a leaf: everybody gets it when it comes", function()
		local a, b = try.later(datacenter.wait, "dc_w", "x"), try.later(datacenter.wait, "dc_w", "x")
		skynet.yield()
		datacenter.set("dc_w", "other", 1)
		datacenter.set("dc_w", "x", "here")
		for _, result in ipairs { a, b } do try.values({ true, "here" }, result()) end
	end)

	try.case("waiters above a leaf that is set get an error", function()
		local above = try.later(datacenter.wait, "dc_e")
		skynet.yield()
		datacenter.set("dc_e", "x", 1)
		try.equal(above(), false)
	end)

	try.ours("waiters below a leaf that is set get an error", function()
		local below = try.later(datacenter.wait, "dc_f", "x", "y")
		skynet.yield()
		datacenter.set("dc_f", "x", 1)
		try.equal(below(), false)
	end)

	try.case("a value of false counts as one", function()
		datacenter.set("dc_false", false)
		try.equal(datacenter.get "dc_false", false)
	end)
end)
