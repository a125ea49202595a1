//! The services that the engine brings along: the [logger](logger::Logger), the [harbor](harbor::Harbor) and the
//! [gate](gate::Gate).

pub mod gate;
pub mod harbor;
pub mod logger;
