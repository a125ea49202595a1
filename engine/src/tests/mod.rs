mod command;
mod harbor;
mod logger;
mod message_log;
mod probe;
