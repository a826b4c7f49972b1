//! Waiting for several completions, for a bounded time, where many come.
//!
//! A thread that sleeps until the first completion is woken for one message while the next are on their way, and so enters the
//! kernel for each. It may ask the kernel to wait a little longer ([`Builder::gather`](crate::Builder::gather)): until so many
//! are there, or so much time has gone by. Then the kernel wakes it once for all of them.
//!
//! That pays where many come within that time, and delays the answer where few do. So how many are waited for follows what came
//! in the last waits, without a look at the clock:
//!
//! ```text
//!   enough came ──► wait for twice as many next time; where that was too many before, now and then for twice those that came then
//!   some came   ──► wait for half as many next time: while the thread works for those, others come
//!   hardly any  ──► do not gather for a while, which is twice as long each time in a row that this happens; until a wait
//!                   that was for one brings several
//! ```

/// How many completions to wait for, learned from how many came.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    /// At most so many are waited for; 0: it was not asked for.
    most: u32,
    /// And for so long.
    time_us: u32,
    /// How many the next gathering wait is for.
    wanted: u32,
    /// Waits in a row that brought what they were for.
    fills: u32,
    /// A wait has ended by its time since load came: from then on `wanted` grows now and then only.
    has_met_bound: bool,
    /// How many waits do not gather before the next one that does.
    skips: u32,
    /// How many gathering waits in a row were in vain.
    in_vain: u32,
    /// Waits that were for more than one completion, and those of them that brought hardly any.
    pub(crate) gathers: u64,
    pub(crate) vain_gathers: u64,
}

impl Gather {
    /// For up to `most` completions, for up to so many microseconds.
    pub(crate) fn new(most: u32, time_us: u32) -> Self {
        Self { most: if time_us == 0 { 0 } else { most }, time_us, wanted: FEW.min(most), ..Self::default() }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.most > 1
    }

    /// For how many completions to wait at least, and for how long, before one will do. `None`: one will do.
    pub(crate) fn next(&self) -> Option<(u32, u32)> {
        (self.is_on() && self.skips == 0).then_some((self.wanted, self.time_us))
    }

    /// A wait was for so many, as [`next`](Self::next) said, and so many came.
    pub(crate) fn waited(&mut self, wanted: Option<u32>, found: u32) {
        match wanted {
            None if found >= FEW => self.skips = 0,
            None => self.skips = self.skips.saturating_sub(1),
            Some(wanted) if found >= wanted => self.filled(),
            Some(_) => self.timed_out(found),
        }
        self.gathers += u64::from(wanted.is_some());
    }

    fn filled(&mut self) {
        (self.in_vain, self.fills) = (0, self.fills + 1);
        let times = match self.has_met_bound {
            false => 2,
            true if self.fills < FILLS_TO_GROW => return,
            // Twice as many as came in time then, of which it has waited for half.
            true => 4,
        };
        (self.fills, self.has_met_bound) = (0, false);
        self.wanted = self.wanted.saturating_mul(times).min(self.most);
    }

    fn timed_out(&mut self, found: u32) {
        (self.fills, self.has_met_bound) = (0, true);
        if found < FEW.min(self.most) {
            (self.skips, self.wanted, self.has_met_bound) = (1 << self.in_vain, FEW.min(self.most), false);
            self.in_vain = (self.in_vain + 1).min(MOST_DOUBLINGS);
            self.vain_gathers += 1;
        } else {
            self.in_vain = 0;
            // Those that wait for an answer send nothing: if all are waited for, either side idles while the other works.
            self.wanted = (found / 2).max(FEW).min(self.most);
        }
    }
}

/// Fewer are not worth waiting for.
const FEW: u32 = 4;
/// So many waits in a row bring what they were for before more is waited for.
const FILLS_TO_GROW: u32 = 64;
/// After that many gathering waits in vain it takes no more others before the next: 256.
const MOST_DOUBLINGS: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    /// A wait of which as many come as `arrive`, all of them before the time is up. How many it was for.
    fn wait(gather: &mut Gather, arrive: u32) -> u32 {
        let wanted = gather.next().map(|(wanted, _)| wanted);
        gather.waited(wanted, arrive);
        wanted.unwrap_or(1)
    }

    #[test]
    fn what_was_not_asked_for_is_not_done() {
        for mut gather in [Gather::default(), Gather::new(0, 100), Gather::new(1, 100), Gather::new(64, 0)] {
            for arrive in [1, 1000, 1000] {
                assert_eq!(wait(&mut gather, arrive), 1);
            }
            assert_eq!((gather.gathers, gather.vain_gathers), (0, 0));
        }
    }

    #[test]
    fn under_load_it_waits_for_as_many_as_are_allowed_soon() {
        let mut gather = Gather::new(64, 100);
        let waits: Vec<u32> = (0..6).map(|_| wait(&mut gather, 64)).collect();
        assert_eq!(waits, [4, 8, 16, 32, 64, 64]);
        assert_eq!((gather.gathers, gather.vain_gathers), (6, 0));
        assert_eq!(gather.next(), Some((64, 100)));
    }

    #[test]
    fn who_never_sees_many_hardly_ever_waits_for_them() {
        let mut gather = Gather::new(64, 100);
        let gathering = (0..10_000).filter(|_| wait(&mut gather, 1) > 1).count();
        // 1, 2, 4 to 256 waits between them, and 256 from then on.
        assert_eq!(gathering, 9 + (10_000_usize - 520).div_ceil(257));
        assert_eq!(gather.gathers, gather.vain_gathers);
    }

    #[test]
    fn a_load_that_comes_is_met_by_the_next_wait() {
        let mut gather = Gather::new(64, 100);
        for _ in 0..1_000 {
            wait(&mut gather, 1);
        }
        gather.skips = 200;
        assert_eq!(wait(&mut gather, 30), 1);
        assert_eq!(wait(&mut gather, 30), 4);
        assert_eq!(wait(&mut gather, 30), 8);
    }

    #[test]
    fn half_of_the_clients_are_waited_for_and_more_now_and_then_only() {
        let mut gather = Gather::new(64, 100);
        let waits: Vec<u32> = (0..1_000).map(|_| wait(&mut gather, 20)).collect();
        // And twice as many, which do not come.
        assert!(waits[10..].iter().all(|wanted| [10, 40].contains(wanted)));
        let late = waits[10..].iter().filter(|wanted| **wanted > 20).count();
        assert!((1..=15).contains(&late), "{late} waits went on to the end of their time");
        assert_eq!(gather.vain_gathers, 0);
    }

    #[test]
    fn a_bound_that_is_small_is_kept() {
        let mut gather = Gather::new(2, 100);
        let waits: Vec<u32> = [2, 2, 5, 1, 1, 2].into_iter().map(|arrive| wait(&mut gather, arrive)).collect();
        assert_eq!(waits, [2, 2, 2, 2, 1, 2]);
    }
}
