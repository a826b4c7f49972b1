//! What io_uring offers here: asked of the kernel itself, never guessed from its release.

use std::fmt;

use io_uring::{Parameters, Probe, opcode};

use super::choice;
use super::refusal::Refusal;
use super::setup::{self, SetupRequest};
use crate::sys::host;

/// Sets a small ring up, tries it, and tells what is there; or, if it was refused, why, and what to do.
///
/// The ring is gone afterwards. Printed, the answer is a table for people, the thing to paste into a report.
///
/// # Kernel
///
/// A seccomp filter may be told to kill a process that tries io_uring rather than to answer it with an error; then this
/// call doesn't return.
///
/// # Examples
///
/// ```
/// let support = quoit_runtime::probe();
/// println!("{support}");
/// match &support.io_uring {
///     Ok(features) => assert!(features.multishot_recv),
///     Err(refusal) => eprintln!("{refusal}"),
/// }
/// ```
pub fn probe() -> Support {
    let request = SetupRequest { entries: PROBE_ENTRIES, completion_entries: None, sqpoll: None };
    let io_uring = setup::set_up(&request).map(|ring| ring.features.clone());
    let kernel = choice::name_of(&io_uring);
    Support { kernel, io_uring }
}

/// The answer of [`probe`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Support {
    /// What a runtime runs on, if neither the program nor `QUOIT_KERNEL` names a kernel: `io_uring`; `epoll`, where io_uring
    /// is forbidden or missing; `none`, where it is short of something that may come back.
    pub kernel: &'static str,
    /// What io_uring offers, or why there is none.
    pub io_uring: Result<Features, Refusal>,
}

/// What the kernel granted a ring, and what it can do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Features {
    /// The kernel's release.
    pub release: String,
    /// Entries of the submission queue.
    pub entries: u32,
    /// Entries of the completion queue.
    pub completion_entries: u32,
    /// The kernel's thread polls the submission queue; only if asked for.
    pub sqpoll: bool,
    /// One thread enters the ring, so that the kernel takes fewer locks. Since 6.0.
    pub single_issuer: bool,
    /// Completions are worked out when the ring is entered for them, never in between. Since 6.1.
    pub defer_taskrun: bool,
    /// A thread that runs isn't interrupted for a completion. Since 5.19.
    pub coop_taskrun: bool,
    /// The kernel marks the ring while task work waits for the next entry. Since 5.19.
    pub taskrun_flag: bool,
    /// An entry that is refused doesn't hold back those behind it. Since 5.18.
    pub submit_all: bool,
    /// Entries are taken in their order without an array of indices. Since 6.6.
    pub no_sqarray: bool,
    /// The ring is entered by a registered index, which spares the look-up of its descriptor. Since 5.18.
    pub registered_ring: bool,
    /// A wait isn't taken for one on a disk, neither by statistics nor by the governor of the clock rate. Since 6.15.
    pub no_iowait: bool,
    /// A wait may gather completions for some time. Since 6.12.
    pub min_wait: bool,
    /// Buffers provided through a ring in shared memory. Since 5.19.
    pub buffer_rings: bool,
    /// Provided buffers consumed piece by piece. Since 6.12.
    pub incremental_buffers: bool,
    /// One accept for many connections. Since 5.19.
    pub multishot_accept: bool,
    /// One receive for many messages. Since 6.0.
    pub multishot_recv: bool,
    /// A send or receive across several provided buffers. Since 6.10.
    pub recv_bundles: bool,
    /// Sending without a copy. Since 6.0.
    pub send_zc: bool,
    /// Files that are read often have places in a table of the ring's, and leave it at once, whatever else is in flight. Since
    /// 6.13; told by a feature of 6.15.
    pub registered_files: bool,
    /// Which opcodes the kernel knows, a bit each.
    opcodes: [u64; 4],
}

impl Features {
    /// Whether the kernel knows an opcode, by its number in `enum io_uring_op`.
    pub fn supports(&self, opcode: u8) -> bool {
        self.opcodes[usize::from(opcode / 64)] & (1 << (opcode % 64)) != 0
    }

    /// Reads off all but what is known only when the ring is in use: `registered_ring` is false yet.
    pub(super) fn read(parameters: &Parameters, granted: setup::Flags, known: &Probe) -> Features {
        let mut opcodes = [0; 4];
        for code in 0..=u8::MAX {
            opcodes[usize::from(code / 64)] |= u64::from(known.is_supported(code)) << (code % 64);
        }
        let mut features = Features {
            release: host::kernel_release(),
            entries: parameters.sq_entries(),
            completion_entries: parameters.cq_entries(),
            sqpoll: parameters.is_setup_sqpoll(),
            single_issuer: granted.contains(setup::Flags::SINGLE_ISSUER),
            defer_taskrun: granted.contains(setup::Flags::DEFER_TASKRUN),
            coop_taskrun: granted.contains(setup::Flags::COOP_TASKRUN),
            taskrun_flag: granted.contains(setup::Flags::TASKRUN_FLAG),
            submit_all: granted.contains(setup::Flags::SUBMIT_ALL),
            no_sqarray: granted.contains(setup::Flags::NO_SQARRAY),
            registered_ring: false,
            no_iowait: parameters.is_feature_no_iowait(),
            min_wait: parameters.is_feature_min_timeout(),
            // Flags of an operation cannot be asked for: a feature or an opcode of the same release tells.
            registered_files: parameters.is_feature_no_iowait(),
            incremental_buffers: parameters.is_feature_min_timeout(),
            recv_bundles: parameters.is_feature_recvsend_bundle(),
            buffer_rings: false,
            multishot_accept: false,
            multishot_recv: false,
            send_zc: false,
            opcodes,
        };
        features.buffer_rings = features.supports(opcode::Socket::CODE);
        features.multishot_accept = features.supports(opcode::Socket::CODE);
        features.multishot_recv = features.supports(opcode::SendZc::CODE);
        features.send_zc = features.supports(opcode::SendZc::CODE);
        features
    }
}

impl fmt::Display for Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let emulated = if self.kernel == "epoll" { " (in the place of io_uring, with the same results)" } else { "" };
        writeln!(f, "kernel               {}{emulated}", self.kernel)?;
        match &self.io_uring {
            Ok(features) => features.fmt(f),
            Err(refusal) => write!(f, "io_uring             no: {refusal}"),
        }
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "release              {}", self.release)?;
        writeln!(f, "entries              {} of submission, {} of completion", self.entries, self.completion_entries)?;
        let rows = [
            ("sqpoll", self.sqpoll),
            ("single issuer", self.single_issuer),
            ("defer taskrun", self.defer_taskrun),
            ("coop taskrun", self.coop_taskrun),
            ("taskrun flag", self.taskrun_flag),
            ("submit all", self.submit_all),
            ("no sqarray", self.no_sqarray),
            ("registered ring", self.registered_ring),
            ("no iowait", self.no_iowait),
            ("min wait", self.min_wait),
            ("buffer rings", self.buffer_rings),
            ("incremental buffers", self.incremental_buffers),
            ("multishot accept", self.multishot_accept),
            ("multishot recv", self.multishot_recv),
            ("recv bundles", self.recv_bundles),
            ("send zc", self.send_zc),
            ("registered files", self.registered_files),
        ];
        for (name, there) in rows {
            writeln!(f, "{name:<20} {}", yes_or_no(there))?;
        }
        f.write_str("opcodes missing     ")?;
        let mut missing = OPCODES.iter().filter(|(_, code)| !self.supports(*code)).map(|(name, _)| name).peekable();
        if missing.peek().is_none() {
            f.write_str(" none")?;
        }
        missing.try_for_each(|name| write!(f, " {name}"))
    }
}

fn yes_or_no(there: bool) -> &'static str {
    if there { "yes" } else { "no" }
}

const PROBE_ENTRIES: u32 = 8;

/// The opcodes worth naming in the table: those an operation of a runtime may be made of.
const OPCODES: [(&str, u8); 33] = [
    ("NOP", opcode::Nop::CODE),
    ("READ", opcode::Read::CODE),
    ("WRITE", opcode::Write::CODE),
    ("READV", opcode::Readv::CODE),
    ("WRITEV", opcode::Writev::CODE),
    ("FSYNC", opcode::Fsync::CODE),
    ("POLL_ADD", opcode::PollAdd::CODE),
    ("SEND", opcode::Send::CODE),
    ("RECV", opcode::Recv::CODE),
    ("SENDMSG", opcode::SendMsg::CODE),
    ("RECVMSG", opcode::RecvMsg::CODE),
    ("ACCEPT", opcode::Accept::CODE),
    ("CONNECT", opcode::Connect::CODE),
    ("SHUTDOWN", opcode::Shutdown::CODE),
    ("SOCKET", opcode::Socket::CODE),
    ("BIND", opcode::Bind::CODE),
    ("LISTEN", opcode::Listen::CODE),
    ("SEND_ZC", opcode::SendZc::CODE),
    ("SENDMSG_ZC", opcode::SendMsgZc::CODE),
    ("OPENAT", opcode::OpenAt::CODE),
    ("CLOSE", opcode::Close::CODE),
    ("STATX", opcode::Statx::CODE),
    ("FALLOCATE", opcode::Fallocate::CODE),
    ("FTRUNCATE", opcode::Ftruncate::CODE),
    ("SPLICE", opcode::Splice::CODE),
    ("RENAMEAT", opcode::RenameAt::CODE),
    ("UNLINKAT", opcode::UnlinkAt::CODE),
    ("MKDIRAT", opcode::MkDirAt::CODE),
    ("TIMEOUT", opcode::Timeout::CODE),
    ("ASYNC_CANCEL", opcode::AsyncCancel::CODE),
    ("MSG_RING", opcode::MsgRingData::CODE),
    ("FUTEX_WAIT", opcode::FutexWait::CODE),
    ("WAITID", opcode::WaitId::CODE),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_what_quoit_needs() {
        let support = probe();
        assert_eq!(support.kernel, "io_uring");
        let features = support.io_uring.unwrap();
        assert_eq!((features.entries, features.completion_entries), (8, 32));
        assert!(features.buffer_rings && features.multishot_accept && features.multishot_recv && features.send_zc);
        assert!(!features.sqpoll);
        assert!(features.supports(opcode::Nop::CODE));
        assert!(!features.supports(u8::MAX));
    }

    #[test]
    fn table_has_a_row_for_each_field() {
        let text = probe().to_string();
        assert_eq!(text.lines().count(), 21, "{text}");
        assert!(text.starts_with("kernel               io_uring\nrelease              "), "{text}");
        assert!(text.contains("\nmultishot recv       yes\n"), "{text}");
        assert!(text.contains("\nopcodes missing      "), "{text}");
    }

    #[test]
    fn where_io_uring_is_forbidden_the_table_tells_of_epoll_and_why() {
        let refusal = Refusal::of_call("io_uring_setup", &std::io::Error::from_raw_os_error(libc::EPERM));
        let io_uring = Err(refusal);
        let text = Support { kernel: choice::name_of(&io_uring), io_uring }.to_string();
        assert!(text.starts_with("kernel               epoll (in the place of io_uring"), "{text}");
        assert!(text.contains("\nio_uring             no: io_uring_setup was refused (EPERM)"), "{text}");
        let short = Err(Refusal::of_call("io_uring_setup", &std::io::Error::from_raw_os_error(libc::ENOMEM)));
        assert_eq!(choice::name_of(&short), "none");
    }

    #[test]
    fn refusal_is_printed_with_its_fix() {
        let refusal = Refusal::of_old_kernel("multishot receive", "5.15.0".to_owned());
        let text = Support { kernel: "none", io_uring: Err(refusal) }.to_string();
        assert!(text.starts_with("kernel               none\nio_uring             no: "), "{text}");
        assert!(text.contains("quoit needs Linux 6.0 or newer"), "{text}");
    }
}
