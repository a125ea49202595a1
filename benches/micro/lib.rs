//! Nothing of its own: the benchmarks are beside this file.
