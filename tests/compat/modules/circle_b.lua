-- Needs circle_a, which needs this.
return require "modules.circle_a"
