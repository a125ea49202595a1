//! `loom_*` are models and run under `--cfg loom` only; the others need real threads and memory and run without it.

#[cfg(loom)]
mod loom_box;

#[cfg(not(loom))]
mod boxes;
#[cfg(not(loom))]
mod prop_box;
#[cfg(not(loom))]
mod threads;
#[cfg(not(loom))]
mod waiting;
