-- unique_failing: cannot start.
require "skynet".start(function() error "never starts" end)
