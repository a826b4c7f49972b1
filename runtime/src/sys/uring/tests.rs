//! The calls, made to the kernel of this machine.

use std::io::Write as _;
use std::os::fd::AsRawFd;
use std::time::Instant;

use io_uring::{IoUring, opcode, squeue, types};

use super::*;

fn ring() -> IoUring {
    IoUring::new(8).unwrap()
}

fn push(ring: &mut IoUring, entry: &squeue::Entry) {
    // SAFETY: the entries of these tests point to no memory but a buffer ring's.
    unsafe { ring.submission().push(entry) }.unwrap();
}

fn nop() -> squeue::Entry {
    opcode::Nop::new().build().user_data(1)
}

/// A poll that nothing ends but a cancel: of a pipe nobody writes to.
fn pending_poll(pipe: &std::io::PipeReader) -> squeue::Entry {
    opcode::PollAdd::new(types::Fd(pipe.as_raw_fd()), libc::POLLIN as u32).build().user_data(2)
}

fn errno_of<T: std::fmt::Debug>(answer: io::Result<T>) -> i32 {
    answer.unwrap_err().raw_os_error().unwrap()
}

/// A ring on a kernel whose table of files lets go at once: see `Features::registered_files`.
fn ring_with_files() -> Option<IoUring> {
    let ring = ring();
    ring.params().is_feature_no_iowait().then_some(ring)
}

/// Takes one file out of the table, or all.
fn take_out(ring: &IoUring, place: u32, takes_all: bool) {
    if takes_all {
        unregister_files(ring.as_raw_fd()).unwrap();
    } else {
        update_file(ring.as_raw_fd(), place, None).unwrap();
    }
}

/// An address that holds for the test, aligned to a page.
#[repr(align(4096))]
struct Page([u8; 4096]);

#[test]
fn structures_have_the_kernels_sizes() {
    assert_eq!(size_of::<Timespec>(), 16);
    assert_eq!(size_of::<GeteventsArg>(), 24);
    assert_eq!(size_of::<RsrcUpdate>(), 16);
    assert_eq!(size_of::<RsrcRegister>(), 32);
    assert_eq!(size_of::<BufReg>(), 40);
}

#[test]
fn timeout_ends_a_wait_and_never_early() {
    let ring = ring();
    let timeout = Duration::from_millis(20);
    let start = Instant::now();
    let entered = enter_wait(ring.as_raw_fd(), 0, 1, ENTER_GETEVENTS, Some(timeout)).unwrap();
    assert_eq!(entered, Entered::TimedOut);
    assert!(start.elapsed() >= timeout);
}

#[test]
fn zero_timeout_does_not_wait() {
    let entered = enter_wait(ring().as_raw_fd(), 0, 1, ENTER_GETEVENTS, Some(Duration::ZERO)).unwrap();
    assert_eq!(entered, Entered::TimedOut);
}

#[test]
fn longest_timeout_waits_for_the_completion() {
    for timeout in [Some(Duration::MAX), Some(LONGEST_WAIT), None] {
        let mut ring = ring();
        push(&mut ring, &nop());
        let entered = enter_wait(ring.as_raw_fd(), 1, 1, ENTER_GETEVENTS, timeout).unwrap();
        assert_eq!(entered, Entered::Submitted(1));
        assert_eq!(ring.completion().count(), 1);
    }
}

#[test]
fn longest_timeout_is_not_over_at_once() {
    // A timeout that overflowed would be in the past: the wait has to last until the write from another thread.
    let mut ring = ring();
    let (reader, mut writer) = std::io::pipe().unwrap();
    push(&mut ring, &pending_poll(&reader));
    assert_eq!(enter_wait(ring.as_raw_fd(), 1, 0, 0, None).unwrap(), Entered::Submitted(1));
    let entered = std::thread::scope(|scope| {
        scope.spawn(|| std::io::Write::write_all(&mut writer, b"x").unwrap());
        enter_wait(ring.as_raw_fd(), 0, 1, ENTER_GETEVENTS, Some(Duration::MAX)).unwrap()
    });
    assert_eq!(entered, Entered::Submitted(0));
    assert_eq!(ring.completion().count(), 1);
}

#[test]
fn entries_taken_hide_that_the_time_was_up() {
    let mut ring = ring();
    let (reader, _writer) = std::io::pipe().unwrap();
    push(&mut ring, &pending_poll(&reader));
    let entered = enter_wait(ring.as_raw_fd(), 1, 1, ENTER_GETEVENTS, Some(Duration::ZERO)).unwrap();
    assert_eq!(entered, Entered::Submitted(1));
    assert_eq!(ring.completion().count(), 0);
}

#[test]
fn errors_of_enter_keep_their_errno() {
    assert_eq!(errno_of(enter_wait(-1, 0, 0, 0, None)), libc::EBADF);
    assert_eq!(errno_of(enter_wait(0, 0, 0, 0, None)), libc::EOPNOTSUPP);
    let unknown_flag = 1 << 30;
    assert_eq!(errno_of(enter_wait(ring().as_raw_fd(), 0, 0, unknown_flag, None)), libc::EINVAL);
}

#[test]
fn no_iowait_is_taken_where_the_kernel_has_it() {
    let ring = ring();
    let flags = ENTER_GETEVENTS | ENTER_NO_IOWAIT;
    let answer = enter_wait(ring.as_raw_fd(), 0, 1, flags, Some(Duration::ZERO));
    if ring.params().is_feature_no_iowait() {
        assert_eq!(answer.unwrap(), Entered::TimedOut);
    } else {
        assert_eq!(errno_of(answer), libc::EINVAL);
    }
}

#[test]
fn ring_is_entered_by_its_index_until_that_is_given_back() {
    let mut ring = ring();
    let index = register_ring_fd(ring.as_raw_fd()).unwrap();
    push(&mut ring, &nop());
    let flags = ENTER_GETEVENTS | ENTER_REGISTERED_RING;
    assert_eq!(enter_wait(index as i32, 1, 1, flags, None).unwrap(), Entered::Submitted(1));
    assert_eq!(ring.completion().count(), 1);

    unregister_ring_fd(ring.as_raw_fd(), index).unwrap();
    assert_eq!(errno_of(enter_wait(index as i32, 0, 0, flags, None)), libc::EBADF);
}

#[test]
fn index_is_of_its_thread() {
    let ring = ring();
    let index = register_ring_fd(ring.as_raw_fd()).unwrap();
    let elsewhere = std::thread::scope(|scope| {
        let enter = || errno_of(enter_wait(index as i32, 0, 0, ENTER_REGISTERED_RING, None));
        scope.spawn(enter).join().unwrap()
    });
    // EINVAL where the thread has entered no ring at all, EBADF where it has.
    assert!([libc::EINVAL, libc::EBADF].contains(&elsewhere), "{elsewhere}");
    unregister_ring_fd(ring.as_raw_fd(), index).unwrap();
}

#[test]
fn seventeenth_index_of_a_thread_is_refused() {
    let rings: Vec<IoUring> = (0..17).map(|_| ring()).collect();
    let answers: Vec<_> = rings.iter().map(|ring| register_ring_fd(ring.as_raw_fd())).collect();
    assert!(answers[..16].iter().all(Result::is_ok));
    assert_eq!(answers[16].as_ref().unwrap_err().raw_os_error(), Some(libc::EBUSY));
    for (ring, index) in rings.iter().zip(answers).take(16) {
        unregister_ring_fd(ring.as_raw_fd(), index.unwrap()).unwrap();
    }
}

#[test]
fn buffer_ring_is_registered_once_and_given_back() {
    let mut page = Box::new(Page([0; 4096]));
    let addr: *mut c_void = page.0.as_mut_ptr().cast();
    let ring = ring();
    let fd = ring.as_raw_fd();
    // SAFETY: the page has room for 256 entries, is zeroed, and outlives the registration.
    unsafe { register_buf_ring(fd, addr, 256, 3) }.unwrap();
    // SAFETY: as above; the kernel refuses it anyway.
    let again = unsafe { register_buf_ring(fd, addr, 256, 3) };
    assert_eq!(errno_of(again), libc::EEXIST);
    unregister_buf_ring(fd, 3).unwrap();
    assert_eq!(errno_of(unregister_buf_ring(fd, 3)), libc::ENOENT);
    // SAFETY: the page is large enough; the kernel refuses what isn't a power of two.
    let odd = unsafe { register_buf_ring(fd, addr, 100, 3) };
    assert_eq!(errno_of(odd), libc::EINVAL);
}

#[test]
fn a_file_that_is_taken_out_of_the_table_is_let_go_by_then_and_what_is_in_flight_goes_on() {
    for takes_all in [false, true] {
        let Some(mut ring) = ring_with_files() else { return };
        register_files(ring.as_raw_fd(), 4).unwrap();
        assert_eq!(errno_of(register_files(ring.as_raw_fd(), 4)), libc::EBUSY);
        let (reader, mut writer) = std::io::pipe().unwrap();
        update_file(ring.as_raw_fd(), 3, Some(reader.as_raw_fd())).unwrap();
        let poll = opcode::PollAdd::new(types::Fixed(3), libc::POLLIN as u32).build().user_data(7);
        push(&mut ring, &poll);
        assert_eq!(enter_wait(ring.as_raw_fd(), 1, 0, ENTER_GETEVENTS, None).unwrap(), Entered::Submitted(1));

        // The table lets go without waiting, and so does the descriptor; the poll has the pipe still.
        take_out(&ring, 3, takes_all);
        drop(reader);
        writer.write_all(b"x").unwrap();
        enter_wait(ring.as_raw_fd(), 0, 1, ENTER_GETEVENTS, None).unwrap();
        let answer = ring.completion().next().unwrap();
        assert_eq!((answer.user_data(), answer.result()), (7, i32::from(libc::POLLIN)));

        // With the poll the last owner is gone, and no entry finds the place.
        assert_eq!(errno_of(writer.write_all(b"x")), libc::EPIPE);
        push(&mut ring, &poll);
        enter_wait(ring.as_raw_fd(), 1, 1, ENTER_GETEVENTS, None).unwrap();
        assert_eq!(ring.completion().next().unwrap().result(), -libc::EBADF);
    }
}

#[test]
fn what_only_the_table_owns_ends_when_it_is_taken_out() {
    let Some(ring) = ring_with_files() else { return };
    register_files(ring.as_raw_fd(), 1).unwrap();
    for takes_all in [false, true] {
        let (reader, mut writer) = std::io::pipe().unwrap();
        update_file(ring.as_raw_fd(), 0, Some(reader.as_raw_fd())).unwrap();
        drop(reader);
        writer.write_all(b"x").unwrap();
        take_out(&ring, 0, takes_all);
        assert_eq!(errno_of(writer.write_all(b"x")), libc::EPIPE);
    }
    assert_eq!(errno_of(unregister_files(ring.as_raw_fd())), libc::ENXIO);
    assert_eq!(errno_of(update_file(ring.as_raw_fd(), 0, None)), libc::ENXIO);
}
