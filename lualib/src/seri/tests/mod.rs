//! Tests of the serializer over bare Lua states.

#![allow(clippy::multiple_unsafe_ops_per_block)] // raw Lua stack code

mod attachments;
mod in_place;
mod limit;
mod pairs;
mod prop;
mod state;
mod value;
mod vectors;
