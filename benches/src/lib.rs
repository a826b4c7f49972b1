//! Benchmarks of quoit. A package of its own, never published, so that what it measures beside quoit never becomes a
//! dependency of the library.
//!
//! `cargo bench -p quoit-benches` runs the micro benchmarks; `cargo run --release -p quoit-benches -- compare` sets
//! servers beside those of its peers: see docs/benchmarks.md.
