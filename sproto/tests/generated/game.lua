---@meta

---@class Bag
---@field items? table<string, Item>
---@field counts? table<string, integer>
---@field odd? table<string, integer>
---@field parent? Bag
---@field self? boolean
---@field history? number[]
---@field prices? number[]

---@class Entry
---@field key? string
---@field value? integer

--- A thing that can be owned.
--- There may be many of it.
---@class Item
---@field itemId? string
---@field type? integer
---@field price? number  in gold
---@field levels? Item.level_range
---@field raw? string

---@class Item.level_range
---@field low? integer
---@field high? integer

---@class Odd
---@field key? string
---@field value? integer

--- Buys one thing.
---@class buy.request
---@field id? string

--- What stands in front of every message.
---@class package
---@field type? integer  tag of the protocol
---@field session? integer
