//! Tests of the setup, with made-up kernels and the real one.

use std::io::Write;

use io_uring::types;

use super::*;

fn request(entries: u32) -> SetupRequest {
    SetupRequest { entries, completion_entries: None, sqpoll: None }
}

fn sizes(entries: u32, completion_entries: u32) -> Sizes {
    Sizes { entries, completion_entries }
}

fn errno<T>(errno: i32) -> io::Result<T> {
    Err(io::Error::from_raw_os_error(errno))
}

/// A kernel that knows some flags only, has memory for rings up to a size, and notes down what it is asked.
struct MadeUpKernel {
    known: Flags,
    memory_for: u32,
    /// Setups that find no memory before the first that may.
    late_memory: u32,
    attempts: Vec<Attempt>,
    paused: Vec<Duration>,
}

impl MadeUpKernel {
    fn new() -> MadeUpKernel {
        let known = Flags::wanted(&request(1));
        MadeUpKernel { known, memory_for: u32::MAX, late_memory: 0, attempts: Vec::new(), paused: Vec::new() }
    }

    /// Every flag but these.
    fn without(flags: &[Flags]) -> MadeUpKernel {
        let unknown = flags.iter().copied().fold(Flags::NONE, Flags::with);
        let mut kernel = MadeUpKernel::new();
        kernel.known = Flags(kernel.known.0 & !unknown.0);
        kernel
    }

    fn try_setup(&mut self, attempt: &Attempt) -> io::Result<Sizes> {
        self.attempts.push(*attempt);
        let flags = attempt.flags;
        let lacks_needed = Flags::ALL.iter().any(|flag| flags.contains(*flag) && !flag.goes_with(flags));
        if !self.known.contains(flags) || lacks_needed {
            return errno(libc::EINVAL);
        }
        if self.late_memory > 0 {
            self.late_memory -= 1;
            return errno(libc::ENOMEM);
        }
        if attempt.sizes.entries > self.memory_for { errno(libc::ENOMEM) } else { Ok(attempt.sizes) }
    }

    fn negotiate(&mut self, sizes: Sizes) -> io::Result<(Sizes, Flags)> {
        let mut paused = Vec::new();
        let answer = negotiate(
            sizes,
            Flags::wanted(&request(1)),
            &mut |attempt: &Attempt| self.try_setup(attempt),
            &mut |pause| paused.push(pause),
        );
        self.paused = paused;
        answer
    }

    fn sizes_tried(&self) -> Vec<u32> {
        self.attempts.iter().map(|attempt| attempt.sizes.entries).collect()
    }
}

#[test]
fn willing_kernel_is_asked_once() {
    let mut kernel = MadeUpKernel::new();
    let (got, flags) = kernel.negotiate(sizes(256, 1024)).unwrap();
    assert_eq!((got, flags), (sizes(256, 1024), kernel.known));
    assert_eq!(kernel.attempts.len(), 1);
    assert_eq!(kernel.paused, []);
}

#[test]
fn each_flag_is_dropped_alone() {
    for refused in Flags::ALL {
        let mut kernel = MadeUpKernel::without(&[refused]);
        let (got, flags) = kernel.negotiate(sizes(256, 1024)).unwrap();
        assert_eq!(got, sizes(256, 1024));
        for other in Flags::ALL {
            let expected = other != refused && (refused != Flags::SINGLE_ISSUER || other != Flags::DEFER_TASKRUN);
            assert_eq!(flags.contains(other), expected, "{other:?} without {refused:?}");
        }
    }
}

/// Whether a flag that isn't refused itself lacks one that it needs.
fn lacks(refused: &[Flags], flag: Flags) -> bool {
    let without = |needed: Flags| refused.contains(&needed);
    let without_defer = without(Flags::DEFER_TASKRUN) || without(Flags::SINGLE_ISSUER);
    match flag {
        Flags::DEFER_TASKRUN => without(Flags::SINGLE_ISSUER),
        Flags::TASKRUN_FLAG => without(Flags::COOP_TASKRUN) && without_defer,
        _ => false,
    }
}

#[test]
fn any_set_of_flags_is_dropped_and_all_others_kept() {
    // Each subset of the eight flags is refused once.
    for subset in 0..1_u32 << Flags::ALL.len() {
        let refused: Vec<Flags> =
            (0..Flags::ALL.len()).filter(|index| subset & 1 << index != 0).map(|index| Flags::ALL[index]).collect();
        let mut kernel = MadeUpKernel::without(&refused);
        let (_, flags) = kernel.negotiate(sizes(64, 256)).unwrap();
        for flag in Flags::ALL {
            let expected = !refused.contains(&flag) && !lacks(&refused, flag);
            assert_eq!(flags.contains(flag), expected, "{flag:?} without {refused:?}");
        }
        // One with all flags, one for each flag, one with those taken.
        assert!(kernel.attempts.len() <= 2 + Flags::ALL.len(), "{:?}", kernel.attempts);
        let learning = &kernel.attempts[1..kernel.attempts.len().max(2) - 1];
        assert!(learning.iter().all(|attempt| attempt.sizes == sizes(1, 4)), "{learning:?}");
    }
}

#[test]
fn setup_that_stays_invalid_is_told_once() {
    let mut attempts = 0;
    let always_invalid = &mut |_: &Attempt| {
        attempts += 1;
        errno::<()>(libc::EINVAL)
    };
    let pause = &mut |_| panic!("nothing to wait for");
    let error = negotiate(sizes(8, 32), Flags::wanted(&request(8)), always_invalid, pause).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    // With all flags, one for each but DEFER_TASKRUN and TASKRUN_FLAG, which lack what they need, and without any.
    assert_eq!(attempts, 8);
}

#[test]
fn invalid_for_another_reason_than_flags_is_told_once() {
    let mut attempts = 0;
    let only_small_rings = &mut |attempt: &Attempt| {
        attempts += 1;
        if attempt.sizes.entries > 1 { errno(libc::EINVAL) } else { Ok(()) }
    };
    let pause = &mut |_| panic!("nothing to wait for");
    let error = negotiate(sizes(8, 32), Flags::wanted(&request(8)), only_small_rings, pause).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    assert_eq!(attempts, 10);
}

#[test]
fn other_errors_end_the_negotiation() {
    for other in [libc::EPERM, libc::ENOSYS, libc::EMFILE, libc::EACCES, libc::EAGAIN] {
        let mut attempts = 0;
        let refuse = &mut |_: &Attempt| {
            attempts += 1;
            errno::<()>(other)
        };
        let pause = &mut |_| panic!("nothing to wait for");
        let error = negotiate(sizes(8, 32), Flags::NONE, refuse, pause).unwrap_err();
        assert_eq!((error.raw_os_error(), attempts), (Some(other), 1));
    }
}

#[test]
fn refusal_met_while_flags_are_learned_is_told() {
    let mut attempts = 0;
    let first_invalid_then_forbidden = &mut |_: &Attempt| {
        attempts += 1;
        errno::<()>(if attempts == 1 { libc::EINVAL } else { libc::EPERM })
    };
    // What isn't about the flags counts as taken; the next attempt meets it again.
    let wanted = Flags::wanted(&request(8));
    let error = negotiate(sizes(8, 32), wanted, first_invalid_then_forbidden, &mut |_| {}).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EPERM));
}

#[test]
fn late_memory_costs_patience_and_no_entries() {
    let mut kernel = MadeUpKernel::new();
    kernel.late_memory = 6;
    let (got, _) = kernel.negotiate(sizes(1024, 4096)).unwrap();
    assert_eq!(got, sizes(1024, 4096));
    assert_eq!(kernel.sizes_tried(), [1024; 7]);
    assert_eq!(kernel.paused, [1, 2, 4, 8, 16, 32].map(Duration::from_millis));
}

#[test]
fn scarce_memory_halves_both_queues() {
    let mut kernel = MadeUpKernel::new();
    kernel.memory_for = 256;
    let (got, _) = kernel.negotiate(sizes(1024, 4096)).unwrap();
    assert_eq!(got, sizes(256, 1024));
    assert_eq!(kernel.sizes_tried(), [1024, 1024, 1024, 1024, 1024, 1024, 1024, 512, 256]);
    assert_eq!(kernel.paused.len(), 6);
}

#[test]
fn largest_ring_reaches_the_smallest_within_the_tries() {
    let mut kernel = MadeUpKernel::new();
    kernel.memory_for = 8;
    let (got, _) = kernel.negotiate(sizes(32768, 65536)).unwrap();
    assert_eq!(got, sizes(8, 16));
}

#[test]
fn no_memory_at_all_is_given_up_at_the_smallest_ring() {
    let mut kernel = MadeUpKernel::new();
    kernel.memory_for = 0;
    let error = kernel.negotiate(sizes(32768, 65536)).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOMEM));
    assert_eq!(kernel.attempts.len(), 21);
    assert_eq!(kernel.sizes_tried().last(), Some(&8));
    assert_eq!(kernel.paused.iter().sum::<Duration>(), Duration::from_millis(63 + 2 * 54));
}

#[test]
fn small_rings_are_not_halved_but_given_up_within_a_second() {
    let mut kernel = MadeUpKernel::new();
    kernel.memory_for = 0;
    kernel.negotiate(sizes(2, 8)).unwrap_err();
    assert_eq!(kernel.sizes_tried(), [2; 21]);
    assert_eq!(kernel.paused.iter().sum::<Duration>(), Duration::from_millis(819));
}

#[test]
fn short_memory_and_unknown_flags_are_both_met() {
    let mut kernel = MadeUpKernel::without(&[Flags::NO_SQARRAY, Flags::DEFER_TASKRUN]);
    kernel.memory_for = 64;
    let (got, flags) = kernel.negotiate(sizes(128, 512)).unwrap();
    assert_eq!((got, flags), (sizes(64, 256), kernel.known));
}

#[test]
fn entries_are_rounded_up_and_bounded() {
    let of = |entries| Sizes::of(&request(entries)).unwrap();
    assert_eq!(of(1), sizes(1, 4));
    assert_eq!(of(100), sizes(128, 512));
    assert_eq!(of(16384), sizes(16384, 65536));
    assert_eq!(of(32768), sizes(32768, 65536));
    assert_eq!(of(32769), sizes(32768, 65536));
    assert_eq!(of(u32::MAX), sizes(32768, 65536));
}

#[test]
fn completion_entries_are_rounded_up_and_bounded() {
    let of = |entries, completion_entries| {
        let request = SetupRequest { completion_entries: Some(completion_entries), ..request(entries) };
        Sizes::of(&request).unwrap()
    };
    assert_eq!(of(64, 1), sizes(64, 64));
    assert_eq!(of(64, 65), sizes(64, 128));
    assert_eq!(of(64, u32::MAX), sizes(64, 65536));
    assert_eq!(sizes(64, 64).halved(), sizes(32, 32));
    assert_eq!(sizes(64, 65536).halved(), sizes(32, 32768));
}

#[test]
fn no_entries_are_invalid_input() {
    let refusal = set_up(&request(0)).unwrap_err();
    assert_eq!(refusal.kind(), io::ErrorKind::InvalidInput);
    let text = "no io_uring was asked for: a submission queue has at least one entry, not 0";
    assert_eq!(refusal.to_string(), text);
    let none_to_complete = SetupRequest { completion_entries: Some(0), ..request(8) };
    assert_eq!(set_up(&none_to_complete).unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn polled_ring_wants_no_task_work() {
    let polled = SetupRequest { sqpoll: Some(Duration::from_secs(1)), ..request(8) };
    let flags = Flags::wanted(&polled);
    assert!(!flags.contains(Flags::COOP_TASKRUN) && !flags.contains(Flags::DEFER_TASKRUN));
    assert!(!flags.contains(Flags::TASKRUN_FLAG));
    assert!(flags.contains(Flags::SINGLE_ISSUER) && flags.contains(Flags::NO_SQARRAY));
}

#[test]
fn real_rings_have_the_sizes_asked_for() {
    for (entries, granted) in [(1, 1), (8, 8), (200, 256), (4096, 4096), (100_000, 32768)] {
        let ring = set_up(&request(entries)).unwrap();
        let features = &ring.features;
        assert_eq!(features.entries, granted);
        assert_eq!(features.completion_entries, (granted * 4).min(65536));
        assert_eq!(ring.ring.params().sq_entries(), granted);
        assert_eq!(ring.ring.params().cq_entries(), features.completion_entries);
    }
}

#[test]
fn real_ring_keeps_its_completion_entries() {
    let ring = set_up(&SetupRequest { completion_entries: Some(1000), ..request(8) }).unwrap();
    assert_eq!((ring.features.entries, ring.features.completion_entries), (8, 1024));
}

/// A NOP goes in and comes back, by the descriptor and the flags of the ring.
fn round_trip(ring: &mut Ring) {
    let nop = opcode::Nop::new().build().user_data(7);
    push(ring, &nop);
    let wait = Some(Duration::from_secs(30));
    let flags = ring.enter_flags | uring::ENTER_GETEVENTS | uring::ENTER_SQ_WAKEUP;
    let entered = uring::enter_wait(ring.enter_fd, 1, 1, flags, wait).unwrap();
    assert_eq!(entered, uring::Entered::Submitted(1));
    let completion = ring.ring.completion().next().unwrap();
    assert_eq!((completion.user_data(), completion.result()), (7, 0));
}

#[expect(unsafe_code, reason = "an entry is pushed only with a promise about its memory")]
fn push(ring: &mut Ring, entry: &io_uring::squeue::Entry) {
    // SAFETY: the tests push NOPs and polls, which point to no memory.
    unsafe { ring.ring.submission().push(entry) }.unwrap();
}

#[test]
fn real_ring_completes_a_nop() {
    round_trip(&mut set_up(&request(8)).unwrap());
}

#[test]
fn real_ring_marks_the_work_it_puts_off() {
    let mut ring = set_up(&request(8)).unwrap();
    assert!(ring.features.defer_taskrun && ring.features.taskrun_flag);
    let (reader, mut writer) = io::pipe().unwrap();
    let poll = opcode::PollAdd::new(types::Fd(reader.as_raw_fd()), libc::POLLIN as u32).build();
    push(&mut ring, &poll);
    uring::enter_wait(ring.enter_fd, 1, 0, ring.enter_flags, None).unwrap();
    assert!(!ring.ring.submission().taskrun());

    writer.write_all(b"x").unwrap();
    assert!(ring.ring.submission().taskrun());
    assert_eq!(ring.ring.completion().count(), 0);

    uring::enter_wait(ring.enter_fd, 0, 0, ring.enter_flags | uring::ENTER_GETEVENTS, None).unwrap();
    assert!(!ring.ring.submission().taskrun());
    assert_eq!(ring.ring.completion().count(), 1);
}

#[test]
fn real_polled_ring_completes_a_nop() {
    let idle = Some(Duration::ZERO);
    let mut ring = set_up(&SetupRequest { sqpoll: idle, ..request(8) }).unwrap();
    assert!(ring.features.sqpoll && !ring.features.defer_taskrun && !ring.features.coop_taskrun);
    round_trip(&mut ring);
}

#[test]
fn rings_without_a_registered_index_work_and_drops_give_the_index_back() {
    // A thread of its own: the indices are counted by thread, 16 each.
    thread::spawn(|| {
        for _ in 0..3 {
            let mut rings: Vec<Ring> = (0..18).map(|_| set_up(&request(1)).unwrap()).collect();
            let registered = rings.iter().filter(|ring| ring.features.registered_ring).count();
            assert_eq!(registered, 16);
            for ring in &mut rings {
                let by_index = ring.enter_flags & uring::ENTER_REGISTERED_RING != 0;
                assert_eq!(by_index, ring.features.registered_ring);
                round_trip(ring);
            }
        }
    })
    .join()
    .unwrap();
}
