---@meta

--- The name that this service was started under: the first word of its line.
---@type string
SERVICE_NAME = ""

--- The folder that the service's script was found in, with a slash at its end; nil when the search template names no
--- folder. A script with a folder of its own finds the modules beside it.
---@type string?
SERVICE_PATH = nil
