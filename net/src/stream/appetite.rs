//! Which buffers a stream receives into: common ones, or large ones. Decided by what has arrived, without I/O.
//!
//! ```text
//!            a buffer was filled              64 receives in a row
//!            to its end                       would have fit into half a common one
//!   Common ──────────────────────► Large ─────────────────────────────────────────► Common
//!     ▲  (after 64 such, where             │ no large buffer is free
//!     │   there was none free)             │
//!     └────────────────────────────────────┘
//! ```
//!
//! A stream of short messages has no use for large buffers: the kernel gives them out in turn, so that all of their memory
//! would pass through the cache.

/// The size of the buffers that a stream receives into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Appetite {
    /// Those of the common size; and so many full ones are not yet a reason to change.
    Common { patience: u8 },
    /// Large ones; and so many receives in a row would not have needed them.
    Large { modest: u8 },
}

impl Default for Appetite {
    fn default() -> Self {
        Self::Common { patience: 0 }
    }
}

impl Appetite {
    pub(super) fn is_large(self) -> bool {
        matches!(self, Self::Large { .. })
    }

    /// So many bytes have come in one buffer.
    #[must_use]
    pub(super) fn after(self, bytes: usize, common_bytes: usize) -> Self {
        match self {
            Self::Common { patience: 0 } if bytes >= common_bytes => Self::Large { modest: 0 },
            Self::Common { patience } if bytes >= common_bytes => Self::Common { patience: patience - 1 },
            Self::Common { .. } => self,
            Self::Large { .. } if bytes > common_bytes / 2 => Self::Large { modest: 0 },
            Self::Large { modest: MODEST } => Self::default(),
            Self::Large { modest } => Self::Large { modest: modest + 1 },
        }
    }

    /// There was no large buffer: the common ones have to do for a while.
    pub(super) fn starved() -> Self {
        Self::Common { patience: PATIENCE }
    }
}

/// Receives in a row, but for the last, after which large buffers are too large.
const MODEST: u8 = 63;
/// Full buffers before large ones are asked for again.
const PATIENCE: u8 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of it when so many bytes have come in each of these receives.
    fn fed(from: Appetite, receives: impl IntoIterator<Item = usize>) -> Appetite {
        receives.into_iter().fold(from, |appetite, bytes| appetite.after(bytes, 1000))
    }

    #[test]
    fn a_full_buffer_asks_for_larger_ones_and_nothing_less_does() {
        assert_eq!(fed(Appetite::default(), [1, 500, 999].repeat(100)), Appetite::default());
        assert!(fed(Appetite::default(), [999, 1000]).is_large());
    }

    #[test]
    fn sixty_four_short_receives_in_a_row_end_it() {
        let large = fed(Appetite::default(), [1000]);
        assert!(fed(large, [500; 63]).is_large());
        assert_eq!(fed(large, [500; 64]), Appetite::default());
        let now_and_then = [[500; 63].as_slice(), &[501]].concat().repeat(9);
        assert!(fed(large, now_and_then).is_large());
    }

    #[test]
    fn who_finds_no_large_buffer_asks_again_after_64_full_ones() {
        assert!(!fed(Appetite::starved(), [1000; 64]).is_large());
        assert!(fed(Appetite::starved(), [1000; 65]).is_large());
        assert!(fed(Appetite::starved(), [1000, 1].repeat(65)).is_large());
    }
}
