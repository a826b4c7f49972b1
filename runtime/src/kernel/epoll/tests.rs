//! The same entries for both kernels: their completions have to be the same, results and flags.
//!
//! A scenario pushes entries and touches the other ends of the descriptors; what it sees is compared by `user_data`, in the
//! order in which it came. (Across different `user_data` no kernel promises an order.)

mod files;
mod own;
mod receiving;
mod scene;
mod sending;
mod sockets;
mod waiting;
