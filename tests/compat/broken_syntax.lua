-- broken_syntax: does not compile, on line 3.

this is not Lua
