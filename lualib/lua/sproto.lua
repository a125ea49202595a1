-- sproto: values and calls as bytes, by a schema. A face of sproto.core, where the codec is.
local core = require "sproto.core"
local parser = require "sprotoparser"

local encode, decode, pack, unpack = core.encode, core.decode, core.pack, core.unpack

-- A Sproto: its schema (a token of sproto.core), and what has been looked up there.
local sproto = { pack = pack, unpack = unpack }
local shared_meta = { __index = sproto }
local owner_meta = { __index = sproto }

function owner_meta:__gc()
	core.deleteproto(self.__cobj)
end

local function wrap(cobj, meta)
	return setmetatable({ __cobj = cobj, __tcache = {}, __pcache = {} }, meta)
end

-- From a bundle, as sprotoparser makes it. The schema is freed with the object.
function sproto.new(bin)
	return wrap(assert(core.newproto(bin)), owner_meta)
end

-- Around a schema that others share: it is not freed with this object.
function sproto.sharenew(cobj)
	return wrap(cobj, shared_meta)
end

function sproto.parse(text)
	return sproto.new(parser.parse(text))
end

local function querytype(self, typename)
	local type = self.__tcache[typename]
	if not type then
		type = core.querytype(self.__cobj, typename)
		if not type then
			error("type not found", 3)
		end
		self.__tcache[typename] = type
	end
	return type
end

local function queryproto(self, name)
	local proto = self.__pcache[name]
	if not proto then
		local other, request, response = core.protocol(self.__cobj, name)
		if not other then
			error(name .. " not found", 3)
		end
		if type(name) == "number" then
			name, other = other, name
		end
		proto = { name = name, tag = other, request = request, response = response }
		self.__pcache[name], self.__pcache[other] = proto, proto
	end
	return proto
end

function sproto:exist_type(typename)
	return self.__tcache[typename] ~= nil or core.querytype(self.__cobj, typename) ~= nil
end

-- By name or by tag.
function sproto:exist_proto(name)
	return self.__pcache[name] ~= nil or core.protocol(self.__cobj, name) ~= nil
end

function sproto:encode(typename, value)
	return encode(querytype(self, typename), value)
end

-- The bytes are a string, or a pointer and a size. A table behind them is filled.
function sproto:decode(typename, ...)
	return decode(querytype(self, typename), ...)
end

function sproto:pencode(typename, value)
	return pack(encode(querytype(self, typename), value))
end

function sproto:pdecode(typename, ...)
	return decode(querytype(self, typename), unpack(...))
end

-- { name, tag, request, response }, by name or by tag.
function sproto:queryproto(name)
	return queryproto(self, name)
end

function sproto:request_encode(name, value)
	local proto = queryproto(self, name)
	return proto.request and encode(proto.request, value) or "", proto.tag
end

function sproto:response_encode(name, value)
	local response = queryproto(self, name).response
	return response and encode(response, value) or ""
end

function sproto:request_decode(name, ...)
	local proto = queryproto(self, name)
	if proto.request then
		local value, size = decode(proto.request, ...)
		return value, size, proto.name
	end
	return nil, proto.name
end

function sproto:response_decode(name, ...)
	local response = queryproto(self, name).response
	if response then
		return decode(response, ...)
	end
end

-- A table with the zero value of every field: of a type, or of a protocol's "REQUEST" or "RESPONSE".
function sproto:default(name, part)
	if part == nil then
		return core.default(querytype(self, name))
	end
	local proto = queryproto(self, name)
	local type
	if part == "REQUEST" then
		type = proto.request
	elseif part == "RESPONSE" then
		type = proto.response
	else
		error("Invalid type", 2)
	end
	if type then
		return core.default(type)
	end
end

-- A host: one side of a connection. It takes messages apart, and knows what its own requests wait for.
local host = {}
local host_meta = { __index = host }

-- `packagename` is the type that stands in front of every message.
function sproto:host(packagename)
	local package = core.querytype(self.__cobj, packagename or "package")
	if not package then
		error("type package not found", 2)
	end
	return setmetatable({ __proto = self, __package = package, __session = {} }, host_meta)
end

local function responder(package, response, session)
	return function(value, ud)
		local header = encode(package, { session = session, ud = ud })
		return pack(response and header .. encode(response, value) or header)
	end
end

-- Takes one packed message: "REQUEST", name, value, response, ud, where response makes the answer, and is there when one
-- is wanted; or "RESPONSE", session, value, ud.
function host:dispatch(...)
	local package = self.__package
	local bytes = unpack(...)
	local header, used = decode(package, bytes)
	local tag, session = header.type, header.session
	if tag then
		local proto = queryproto(self.__proto, tag)
		local value = proto.request and decode(proto.request, bytes:sub(used + 1)) or nil
		return "REQUEST", proto.name, value, session and responder(package, proto.response, session), header.ud
	end
	if not session then
		error("session not found", 2)
	end
	local response = self.__session[session]
	if not response then
		error("Unknown session", 2)
	end
	self.__session[session] = nil
	local value = response ~= true and decode(response, bytes:sub(used + 1)) or nil
	return "RESPONSE", session, value, header.ud
end

-- A function that makes requests to a peer that speaks `sp`. With a session the answer comes back through `dispatch`.
function host:attach(sp)
	local package, sessions = self.__package, self.__session
	return function(name, value, session, ud)
		local proto = queryproto(sp, name)
		local bytes = encode(package, { type = proto.tag, session = session, ud = ud })
		if proto.request then
			bytes = bytes .. encode(proto.request, value)
		end
		if session then
			sessions[session] = proto.response or true
		end
		return pack(bytes)
	end
end

return sproto
