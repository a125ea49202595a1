-- Every public name of skynet's modules that this version has, by module: functions, but for `fields`, which are values.
return {
	["skynet"] = {
		"register_protocol dispatch dispatch_message dispatch_unknown_request dispatch_unknown_response",
		"send rawsend redirect genid pack packstring unpack tostring trash",
		"call rawcall tracecall request ret retpack context ignoreret response",
		"timeout sleep wait yield wakeup fork killthread pcall",
		"start init_service init exit term newservice uniqueservice queryservice",
		"self localname address harbor getenv setenv now starttime time hpc error tracelog",
		"endless mqlen stat info_func task uniqtask trace_timeout trace tracetag traceproto",
		fields = "PTYPE_TEXT PTYPE_RESPONSE PTYPE_MULTICAST PTYPE_CLIENT PTYPE_SYSTEM PTYPE_HARBOR PTYPE_SOCKET PTYPE_ERROR "
			.. "PTYPE_QUEUE PTYPE_DEBUG PTYPE_LUA PTYPE_SNAX PTYPE_TRACE cache _proto",
		-- there only in the main chunk of a service, see the program
		once = "memlimit",
	},
	["skynet.core"] = {
		"send redirect command intcommand addresscommand genid error harbor callback trace",
		"tostring pack unpack packstring trash now hpc",
		-- what skynet.lua stands on; no program should use these, so they are not described
		inner = "call cancel clear_forks context dispatch_message dispatch_unknown_request dispatch_unknown_response expect "
			.. "fork ignoreret install killthread leave manage memlimit post protocols rawcall rawpost response ret retpack self "
			.. "sleep start_trace suspend suspended task_count task_list task_session term thread timeout trace_timeout "
			.. "tracecall tracetag wait wakeup yield",
	},
	["skynet.manager"] = { "launch kill abort register name forward_type filter monitor" },
	["skynet.coroutine"] = { "create resume yield wrap running status isyieldable close thread" },
	["skynet.mqueue"] = { "register call send size" },
	["skynet.service"] = { "new query close" },
	["skynet.sharedata"] = { "new update delete query flush deepcopy" },
	["skynet.sharedata.corelib"] = { "box update flush copy next", fields = "host" },
	["skynet.sharetable"] = { "loadfile loadstring loadtable query queryall update" },
	["skynet.datasheet"] = { "query" },
	["skynet.datasheet.builder"] = { "new update compile" },
	["skynet.datasheet.dump"] = { "dump undump diff" },
	["skynet.datacenter"] = { "get set wait" },
	["skynet.harbor"] = { "globalname queryname link connect linkmaster" },
	["skynet.debug"] = { "init reg_debugcmd" },
	["skynet.require"] = { "require init init_all", inner = "stock" },
	["skynet.codecache"] = { "clear mode loadfile" },
	["skynet.profile"] = { "start stop resume wrap" },
	["skynet.memory"] = { "total block info current dump dumpinfo jestat mallctl dumpheap profactive" },
	["sproto"] = {
		"new sharenew parse pack unpack host exist_type exist_proto encode decode pencode pdecode queryproto",
		"request_encode response_encode request_decode response_decode default",
	},
	["sproto.core"] = {
		"newproto deleteproto dumpproto querytype protocol encode decode default pack unpack saveproto loadproto",
		"parse",
	},
	["sprotoparser"] = { "parse dump" },
	["sprotoloader"] = { "register save load" },
	["skynet.stm"] = { "new copy newcopy" },
	["skynet.sharemap"] = { "register writer reader commit copy update wait" },
	["skynet.socket"] = {
		"open listen start bind stdin read readline readall block write lwrite close shutdown close_fd abandon pause",
		"onclose warning limit disconnected invalid header resolve netstat",
		"udp udp_listen udp_dial udp_connect sendto udp_address broadcast",
	},
	["skynet.socketdriver"] = {
		"buffer push pop readline readall clear drop str2p header info unpack",
		"connect listen start pause close shutdown bind nodelay send lsend resolve broadcast",
		"udp udp_connect udp_dial udp_listen udp_send udp_address",
	},
	["skynet.socketchannel"] = { "channel", fields = "error" },
	["skynet.dns"] = { "server resolve flush", fields = "DEFAULT_HOSTS DEFAULT_RESOLV_CONF" },
	["skynet.netpack"] = { "pack filter pop clear tostring" },
	["skynet.crypt"] = {
		"hashkey randomkey desencode desdecode hexencode hexdecode hmac64 hmac64_md5 hmac_hash dhexchange dhsecret",
		"base64encode base64decode sha1 hmac_sha1 xor_str",
		fields = "padding",
	},
	["md5"] = { "sum sumhexa hmacmd5 exor crypt decrypt" },
	["skynet.queue"] = "function",
	["skynet.inject"] = "function",
	["client.socket"] = { "connect recv send shutdown close usleep readstdin" },
	["snax.gateserver"] = { "start openclient closeclient" },
	["snax.loginserver"] = "function",
	["snax.msgserver"] = { "userid username login logout ip start" },
}
