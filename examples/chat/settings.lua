-- The settings of the chat. `main` publishes them; all services read the one copy, and would follow an update.
return {
	max_clients = 20000,
	agents = 4,	-- services that talk to the clients
	halls = 2,	-- services that hold the rooms
	join_cs = 1000,	-- for a connection to join its first room, in 1/100 s
	unsent_kib = 1024,	-- a client that lets more pile up is dropped
	max_room_people = 1000,	-- their names fit into one frame
	max_name_bytes = 32,
	max_text_bytes = 1000,
}
