-- Waits, then fails.
require "skynet".sleep(2)
error "the module fails"
