//! Why the kernel gives us no ring, and what to do about it.
//!
//! [`diagnose`] is pure: it judges an errno by the [`Surroundings`], which `gather` reads from the system. The order of the
//! branches is that of the kernel's own checks: seccomp comes before the system call, the sysctl first inside it, then the security
//! module, then memory. Where several could be at fault the one named is the one found for certain.

use std::fmt;
use std::fs;
use std::io;

use crate::sys::host;

/// The kernel refused an io_uring: which call, with which errno, for which cause.
///
/// Its text names the cause and the fix. As an [`io::Error`] it keeps kind and text, and is found again by
/// [`io::Error::get_ref`] and a downcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The system call that failed.
    call: &'static str,
    /// What it failed with.
    errno: i32,
    /// What is behind it, as far as it can be found out.
    cause: Cause,
}

/// What is behind a [`Refusal`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The administrator switched io_uring off: `kernel.io_uring_disabled` (since Linux 6.6).
    #[non_exhaustive]
    Sysctl {
        /// 2: for everyone; 1: for all without CAP_SYS_ADMIN and outside of `kernel.io_uring_group`.
        value: u8,
    },
    /// A seccomp filter, as containers have by default.
    Seccomp,
    /// SELinux, AppArmor or another security module.
    #[non_exhaustive]
    SecurityModule {
        /// The label this process runs under, where it can be read.
        label: Option<String>,
    },
    /// The kernel is new enough, but built without io_uring (`CONFIG_IO_URING`).
    #[non_exhaustive]
    NoSuchCall {
        /// The kernel's release.
        release: String,
    },
    /// gVisor: a kernel in user space, that has no io_uring unless told.
    Gvisor,
    /// The kernel is too old.
    #[non_exhaustive]
    OldKernel {
        /// The kernel's release.
        release: String,
        /// What it lacks.
        missing: &'static str,
    },
    /// RLIMIT_MEMLOCK: the kernel charges rings to a user's locked memory.
    #[non_exhaustive]
    MemoryLock {
        /// The soft limit in bytes, for all processes of the user together.
        soft: u64,
        /// The user charged.
        user: u32,
    },
    /// The machine, or the control group, is out of memory.
    Memory,
    /// No file descriptor is left.
    #[non_exhaustive]
    Descriptors {
        /// This process's soft limit (RLIMIT_NOFILE) for EMFILE; none for ENFILE, where the whole system has run out.
        soft: Option<u64>,
    },
    /// The setup asked for makes no sense.
    #[non_exhaustive]
    Request {
        /// What is wrong with it.
        wrong: &'static str,
    },
    /// Something else; see the errno.
    Other,
}

/// The system call that asks for a ring.
pub(crate) const SETUP: &str = "io_uring_setup";

/// The oldest release whose kernel has all that quoit cannot do without.
pub(crate) const OLDEST_RELEASE: &str = "6.0";

/// What a diagnosis looks at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surroundings {
    /// `kernel.io_uring_disabled`; none where it cannot be read, or the kernel has none (before 6.6).
    pub(crate) sysctl: Option<u8>,
    /// Whether this process is a member of `kernel.io_uring_group`.
    pub(crate) in_sysctl_group: bool,
    /// Whether a seccomp filter is in force (`Seccomp: 2`).
    pub(crate) seccomp_filter: bool,
    /// CAP_SYS_ADMIN in the first user namespace.
    pub(crate) system_admin: bool,
    /// CAP_IPC_LOCK in the first user namespace: RLIMIT_MEMLOCK doesn't count.
    pub(crate) unlimited_lock: bool,
    /// The label of a security module, if this process is confined by it.
    pub(crate) security_label: Option<String>,
    /// The kernel's release.
    pub(crate) release: String,
    /// Whether the kernel is gVisor's.
    pub(crate) gvisor: bool,
    /// RLIMIT_MEMLOCK, soft, in bytes; `u64::MAX`: none.
    pub(crate) memory_lock: u64,
    /// RLIMIT_NOFILE, soft; `u64::MAX`: none.
    pub(crate) descriptors: u64,
    /// The real user.
    pub(crate) user: u32,
}

impl Refusal {
    /// The kind of error this is: `PermissionDenied` for EPERM and EACCES, `Unsupported` for ENOSYS, EINVAL and a kernel too old,
    /// `OutOfMemory` for ENOMEM, `InvalidInput` for a request that makes no sense, and std's own kind for all else.
    pub fn kind(&self) -> io::ErrorKind {
        match (&self.cause, self.errno) {
            (Cause::Request { .. }, _) => io::ErrorKind::InvalidInput,
            (_, libc::EPERM | libc::EACCES) => io::ErrorKind::PermissionDenied,
            (_, libc::ENOSYS | libc::EINVAL | libc::EOPNOTSUPP) => io::ErrorKind::Unsupported,
            (_, libc::ENOMEM) => io::ErrorKind::OutOfMemory,
            (_, errno) => io::Error::from_raw_os_error(errno).kind(),
        }
    }

    /// The errno: the kernel's, EOPNOTSUPP for a kernel that gave a ring but lacks what it takes, EINVAL for a request that
    /// makes no sense.
    pub fn errno(&self) -> i32 {
        self.errno
    }

    /// What is behind it, as far as it can be found out.
    pub fn cause(&self) -> &Cause {
        &self.cause
    }

    /// A request that never reached the kernel.
    pub(crate) fn of_request(wrong: &'static str) -> Refusal {
        Refusal { call: SETUP, errno: libc::EINVAL, cause: Cause::Request { wrong } }
    }

    /// A kernel that gives rings, but not what quoit needs of them.
    pub(crate) fn of_old_kernel(missing: &'static str, release: String) -> Refusal {
        Refusal { call: SETUP, errno: libc::EOPNOTSUPP, cause: Cause::OldKernel { release, missing } }
    }

    /// A failed system call, diagnosed in the surroundings of this process.
    pub(crate) fn of_call(call: &'static str, error: &io::Error) -> Refusal {
        // The calls diagnosed are bare system calls: an error without errno is none of theirs, and EIO says as much.
        diagnose(call, error.raw_os_error().unwrap_or(libc::EIO), &Surroundings::gather())
    }
}

/// Judges a failed call of io_uring.
pub(crate) fn diagnose(call: &'static str, errno: i32, around: &Surroundings) -> Refusal {
    let cause = match errno {
        // Past the setup neither the sysctl nor the kernel's build can be the cause, nor is anything charged to a limit.
        libc::EPERM | libc::ENOSYS if call != SETUP => cause_past_setup(errno, around),
        libc::ENOMEM if call != SETUP => Cause::Memory,
        libc::EPERM => cause_of_eperm(around),
        libc::EACCES => Cause::SecurityModule { label: around.security_label.clone() },
        libc::ENOSYS => cause_of_enosys(around),
        // The setup falls back to a ring without any flag, which a kernel of today takes.
        libc::EINVAL if older_than(&around.release, (6, 0)) => {
            Cause::OldKernel { release: around.release.clone(), missing: "the form of ring asked for" }
        }
        libc::ENOMEM if around.unlimited_lock || around.memory_lock == u64::MAX => Cause::Memory,
        libc::ENOMEM => Cause::MemoryLock { soft: around.memory_lock, user: around.user },
        libc::EMFILE => Cause::Descriptors { soft: Some(around.descriptors) },
        libc::ENFILE => Cause::Descriptors { soft: None },
        _ => Cause::Other,
    };
    Refusal { call, errno, cause }
}

fn cause_of_eperm(around: &Surroundings) -> Cause {
    match around.sysctl {
        Some(1) if around.system_admin || around.in_sysctl_group => {}
        Some(value @ 1..) => return Cause::Sysctl { value },
        Some(0) | None => {}
    }
    if around.seccomp_filter {
        return Cause::Seccomp;
    }
    Cause::SecurityModule { label: around.security_label.clone() }
}

fn cause_of_enosys(around: &Surroundings) -> Cause {
    // gVisor filters as well, and reports an old release: it has to come first.
    if around.gvisor {
        return Cause::Gvisor;
    }
    if older_than(&around.release, (5, 1)) {
        return Cause::OldKernel { release: around.release.clone(), missing: "io_uring" };
    }
    // Some profiles (Podman's among them) answer ENOSYS to what they don't know.
    if around.seccomp_filter {
        return Cause::Seccomp;
    }
    Cause::NoSuchCall { release: around.release.clone() }
}

fn cause_past_setup(errno: i32, around: &Surroundings) -> Cause {
    match errno {
        _ if around.gvisor => Cause::Gvisor,
        _ if around.seccomp_filter => Cause::Seccomp,
        libc::EPERM => Cause::SecurityModule { label: around.security_label.clone() },
        _ => Cause::Other,
    }
}

/// Whether a release such as `5.15.0-91-generic` is before `major.minor`. What cannot be read isn't.
fn older_than(release: &str, than: (u32, u32)) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) => (major, minor) < than,
        _ => false,
    }
}

impl Surroundings {
    /// Reads the surroundings of this process. What cannot be read counts as not there.
    pub(crate) fn gather() -> Surroundings {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let status = read("/proc/self/status");
        let capabilities = u64::from_str_radix(field(&status, "CapEff:"), 16).unwrap_or(0);
        // Capabilities count only in the first user namespace, which maps every id to itself.
        let first_namespace = read("/proc/self/uid_map").split_whitespace().eq(["0", "0", "4294967295"]);
        let capable = |capability: u32| first_namespace && capabilities & (1 << capability) != 0;
        let release = host::kernel_release();
        Surroundings {
            sysctl: read("/proc/sys/kernel/io_uring_disabled").trim().parse().ok(),
            in_sysctl_group: is_member(&status, read("/proc/sys/kernel/io_uring_group").trim()),
            seccomp_filter: field(&status, "Seccomp:") == "2",
            system_admin: capable(CAP_SYS_ADMIN),
            unlimited_lock: capable(CAP_IPC_LOCK),
            security_label: confining_label(&read("/proc/self/attr/current")),
            gvisor: is_gvisor(&release, &read("/proc/version")),
            release,
            memory_lock: host::memory_lock_limit(),
            descriptors: host::descriptor_limit(),
            user: host::user_id(),
        }
    }
}

/// The text behind a field's name in `/proc/self/status`.
fn field<'a>(status: &'a str, name: &str) -> &'a str {
    status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim()
}

/// Whether the process is of `group`, a number in text, `-1` for none.
fn is_member(status: &str, group: &str) -> bool {
    // Of the four ids after `Gid:` the kernel looks at the one for files, which follows the effective one.
    let effective = field(status, "Gid:").split_whitespace().nth(1);
    let mut groups = field(status, "Groups:").split_whitespace().chain(effective);
    groups.any(|member| member == group)
}

/// The label of a process that a security module confines: `docker-default (enforce)`, or `user_u:user_r:user_t:s0`.
fn confining_label(text: &str) -> Option<String> {
    let label = text.trim_end_matches(['\0', '\n']);
    let confined = !label.is_empty() && label != "unconfined" && label != "kernel";
    confined.then(|| label.to_owned())
}

/// gVisor's own version text; its release alone is that of a Linux of 2016.
fn is_gvisor(release: &str, version: &str) -> bool {
    let text_contains = |word: &str| release.contains(word) || version.contains(word);
    text_contains("gvisor") || text_contains("gVisor") || version.contains("Sun Jan 10 15:06:54 PST 2016")
}

/// Numbers of capabilities, see capabilities(7).
const CAP_IPC_LOCK: u32 = 14;
const CAP_SYS_ADMIN: u32 = 21;

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let call = self.call;
        match &self.cause {
            Cause::Request { wrong } => return write!(f, "no io_uring was asked for: {wrong}"),
            Cause::OldKernel { .. } if self.errno == libc::EOPNOTSUPP => write!(f, "this io_uring is of no use: ")?,
            _ => match errno_name(self.errno) {
                Some(name) => write!(f, "{call} was refused ({name}): ")?,
                None => write!(f, "{call} was refused (errno {}): ", self.errno)?,
            },
        }
        self.cause.fmt(f)?;
        if self.cause == Cause::Other {
            // No cause, no fix: at least the words for the errno.
            write!(f, ": {}", io::Error::from_raw_os_error(self.errno))?;
        }
        Ok(())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Sysctl { value: 1 } => f.write_str(
                "kernel.io_uring_disabled is 1, which leaves io_uring to CAP_SYS_ADMIN and the members of \
                 kernel.io_uring_group; `sysctl kernel.io_uring_disabled=0` allows it to all, \
                 `sysctl kernel.io_uring_group=GID` to a group of this process",
            ),
            Cause::Sysctl { value } => write!(
                f,
                "kernel.io_uring_disabled is {value}, which forbids io_uring to all; \
                 `sysctl kernel.io_uring_disabled=0` allows it"
            ),
            Cause::Seccomp => f.write_str(
                "a seccomp filter forbids io_uring, as the default profiles of Docker, containerd and Kubernetes do; \
                 allow io_uring_setup, io_uring_enter and io_uring_register in a profile of your own: \
                 `docker run --security-opt seccomp=PROFILE.json`; in Kubernetes `securityContext: {seccompProfile: \
                 {type: Localhost, localhostProfile: PROFILE.json}}`; in a systemd unit \
                 `SystemCallFilter=io_uring_setup io_uring_enter io_uring_register`",
            ),
            Cause::SecurityModule { label } => {
                f.write_str(
                    "neither the sysctl nor a seccomp filter explains it, so that a security module must be at work",
                )?;
                if let Some(label) = label {
                    write!(f, " (this process runs as `{label}`)")?;
                }
                f.write_str(
                    "; `ausearch -m avc` or `journalctl -k | grep -i denied` tells the rule; \
                     for SELinux allow the class io_uring to the domain, for AppArmor the rule `io_uring,` in the profile",
                )
            }
            Cause::NoSuchCall { release } => write!(
                f,
                "Linux {release} is built without io_uring; boot a kernel with CONFIG_IO_URING=y, {OLDEST_RELEASE} or newer"
            ),
            Cause::Gvisor => {
                f.write_str("gVisor runs this process and offers no io_uring; use another runtime class, such as runc")
            }
            Cause::OldKernel { release, missing } => write!(
                f,
                "Linux {release} lacks {missing}; quoit needs Linux {OLDEST_RELEASE} or newer, \
                 which brought multishot receive, and synchronous cancel for a safe end"
            ),
            Cause::MemoryLock { soft, user } => write!(
                f,
                "a ring is charged to the locked memory of its user, and RLIMIT_MEMLOCK leaves {soft} bytes \
                 to all processes of uid {user} together; raise it: `ulimit -l unlimited` in a shell, \
                 `LimitMEMLOCK=infinity` in a systemd unit, `docker run --ulimit memlock=-1:-1`; \
                 or ask for fewer entries or fewer runtimes"
            ),
            Cause::Memory => f.write_str(
                "the machine, or the control group of this process, is out of memory; give it more \
                 (`memory.max`, `docker run --memory`), or ask for fewer entries or fewer runtimes",
            ),
            Cause::Descriptors { soft: Some(soft) } => write!(
                f,
                "all {soft} file descriptors of this process are open; raise RLIMIT_NOFILE: `ulimit -n NUMBER` in a shell, \
                 `LimitNOFILE=NUMBER` in a systemd unit, `docker run --ulimit nofile=NUMBER`"
            ),
            Cause::Descriptors { soft: None } => {
                f.write_str("all file descriptors of the system are open; `sysctl fs.file-max=NUMBER` allows more")
            }
            Cause::Request { wrong } => f.write_str(wrong),
            Cause::Other => f.write_str("no cause was found"),
        }
    }
}

fn errno_name(errno: i32) -> Option<&'static str> {
    Some(match errno {
        libc::EPERM => "EPERM",
        libc::EACCES => "EACCES",
        libc::ENOSYS => "ENOSYS",
        libc::EINVAL => "EINVAL",
        libc::EOPNOTSUPP => "EOPNOTSUPP",
        libc::ENOMEM => "ENOMEM",
        libc::EMFILE => "EMFILE",
        libc::ENFILE => "ENFILE",
        libc::EAGAIN => "EAGAIN",
        _ => return None,
    })
}

impl std::error::Error for Refusal {}

impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> io::Error {
        io::Error::new(refusal.kind(), refusal)
    }
}

#[cfg(test)]
mod tests;
