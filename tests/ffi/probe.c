/* probe: a Lua C module of the tests, built against the same Lua as the engine. It sees messages as plain memory, makes
 * userdata with finalizers, calls back into Lua across waits, and raises errors. */

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>

static atomic_long made, released;

/* bytes(msg, sz) -> the memory as a string */
static int bytes(lua_State *L) {
	const char *msg = lua_touserdata(L, 1);
	lua_pushlstring(L, msg == NULL ? "" : msg, (size_t)luaL_checkinteger(L, 2));
	return 1;
}

/* sum(msg, sz) -> FNV-1a of the memory */
static int sum(lua_State *L) {
	const unsigned char *msg = lua_touserdata(L, 1);
	lua_Integer sz = luaL_checkinteger(L, 2);
	uint64_t hash = 0xcbf29ce484222325u;
	for (lua_Integer i = 0; i < sz; i++) hash = (hash ^ msg[i]) * 0x100000001b3u;
	lua_pushinteger(L, (lua_Integer)hash);
	return 1;
}

static int token_gc(lua_State *L) {
	(void)L;
	atomic_fetch_add(&released, 1);
	return 0;
}

static int token_value(lua_State *L) {
	lua_Integer *value = luaL_checkudata(L, 1, "probe.token");
	lua_pushinteger(L, *value);
	return 1;
}

/* token(n) -> userdata with a method value() and a finalizer that is counted */
static int token(lua_State *L) {
	lua_Integer *value = lua_newuserdatauv(L, sizeof *value, 1);
	*value = luaL_checkinteger(L, 1);
	luaL_setmetatable(L, "probe.token");
	atomic_fetch_add(&made, 1);
	return 1;
}

/* counts() -> tokens made, tokens released, in the whole process */
static int counts(lua_State *L) {
	lua_pushinteger(L, atomic_load(&made));
	lua_pushinteger(L, atomic_load(&released));
	return 2;
}

/* each(n, f) calls f(1) ... f(n), which may wait, and gives the sum of the results. Stack: n, f, sum, result of f. */
static int each_result(lua_State *L, int status, lua_KContext i);

static int each_call(lua_State *L, lua_Integer i) {
	if (i > lua_tointeger(L, 1)) return 1; /* the sum is on top */
	lua_pushvalue(L, 2);
	lua_pushinteger(L, i);
	lua_callk(L, 1, 1, (lua_KContext)i, each_result);
	return each_result(L, LUA_OK, (lua_KContext)i);
}

static int each_result(lua_State *L, int status, lua_KContext i) {
	(void)status;
	lua_pushinteger(L, lua_tointeger(L, 3) + luaL_checkinteger(L, 4));
	lua_replace(L, 3);
	lua_settop(L, 3);
	return each_call(L, (lua_Integer)i + 1);
}

static int each(lua_State *L) {
	luaL_checkinteger(L, 1);
	luaL_checktype(L, 2, LUA_TFUNCTION);
	lua_settop(L, 2);
	lua_pushinteger(L, 0);
	return each_call(L, 1);
}

/* fail(text) raises it, with the caller's place */
static int fail(lua_State *L) {
	return luaL_error(L, "%s", luaL_checkstring(L, 1));
}

/* wait(...) yields its arguments, gives what the coroutine is resumed with */
static int wait_done(lua_State *L, int status, lua_KContext n) {
	(void)status;
	return lua_gettop(L) - (int)n;
}

static int wait(lua_State *L) {
	return lua_yieldk(L, lua_gettop(L), 0, wait_done);
}

/* number() -> the version number of the Lua that the module was built against, and of the one it runs in */
static int number(lua_State *L) {
	lua_pushinteger(L, LUA_VERSION_NUM);
	lua_pushnumber(L, lua_version(L));
	return 2;
}

int luaopen_probe(lua_State *L);

int luaopen_probe(lua_State *L) {
	static const luaL_Reg methods[] = { { "value", token_value }, { NULL, NULL } };
	static const luaL_Reg functions[] = {
		{ "bytes", bytes }, { "sum", sum },   { "token", token }, { "counts", counts }, { "each", each },
		{ "fail", fail },   { "wait", wait }, { "number", number }, { NULL, NULL },
	};
	luaL_checkversion(L);
	if (luaL_newmetatable(L, "probe.token")) {
		lua_pushcfunction(L, token_gc);
		lua_setfield(L, -2, "__gc");
		luaL_newlib(L, methods);
		lua_setfield(L, -2, "__index");
	}
	lua_pop(L, 1);
	luaL_newlib(L, functions);
	return 1;
}
