//! The services that the engine brings along: the [logger](logger::Logger) and the [harbor](harbor::Harbor).

pub mod harbor;
pub mod logger;
