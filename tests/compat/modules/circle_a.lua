-- Needs circle_b, which needs this.
return require "modules.circle_b"
