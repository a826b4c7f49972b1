//! Which kernel a runtime stands on: what the builder asks for, what the environment says, and what the machine allows.

use std::env;
use std::io;
use std::sync::Once;

use crate::kernel::Kernel;
use crate::kernel::epoll::Epoll;
use crate::kernel::probe::Features;
use crate::kernel::refusal::Refusal;
use crate::kernel::setup::SetupRequest;
use crate::kernel::sim::{Sim, World};

/// Which kernel a runtime stands on. Programs behave the same on each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KernelKind {
    /// io_uring; where the machine refuses it (containers do by default), [`Epoll`](Self::Epoll). The environment may name
    /// a kernel instead: `QUOIT_KERNEL=uring` or `QUOIT_KERNEL=epoll`.
    #[default]
    Auto,
    /// io_uring, whatever the environment says; a refusal is an error.
    IoUring,
    /// io_uring emulated over epoll and a few threads, whatever the environment says. It makes no call of io_uring.
    Epoll,
    /// A simulated kernel, in a world of its own that this seed decides: see [`sim`](crate::sim).
    Sim {
        /// The same seed makes the same world.
        seed: u64,
    },
}

impl Kernel {
    /// The kernel that was asked for, or that the environment and the machine choose.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] where io_uring was named, or is short of something that may come back; those of `epoll_create1` and
    /// `eventfd`; `InvalidInput` for a name in the environment that is none.
    pub(crate) fn of(kind: KernelKind, request: &SetupRequest) -> io::Result<Self> {
        match named(kind, env::var("QUOIT_KERNEL").as_deref().unwrap_or_default())? {
            KernelKind::Auto => Self::uring(request).or_else(|refusal| Self::instead(request, refusal)),
            KernelKind::IoUring => Ok(Self::uring(request)?),
            KernelKind::Epoll => Ok(Self::Epoll(Epoll::new(request)?)),
            KernelKind::Sim { seed } => {
                let world = World::new(seed)?;
                let main = world.add_host("main");
                Ok(Self::Sim(Sim::new(world.seat(main, request.entries, request.completion_entries))))
            }
        }
    }

    /// What runs where io_uring was refused, if that will not change: a lack of memory or descriptors is an error.
    fn instead(request: &SetupRequest, refusal: Refusal) -> io::Result<Self> {
        if !falls_back(&refusal) {
            return Err(refusal.into());
        }
        // Where there is no epoll either, the first refusal tells more.
        let Ok(epoll) = Epoll::new(request) else { return Err(refusal.into()) };
        // Once a process: more would tell nothing new.
        static TOLD: Once = Once::new();
        TOLD.call_once(|| tracing::warn!("no io_uring, so epoll takes its place: {refusal}"));
        Ok(Self::Epoll(epoll))
    }

    /// Which of the kinds this is: never [`KernelKind::Auto`].
    pub(crate) fn kind(&self) -> KernelKind {
        match self {
            Self::Uring(_) => KernelKind::IoUring,
            Self::Epoll(_) => KernelKind::Epoll,
            Self::Sim(sim) => KernelKind::Sim { seed: sim.seat().world.seed },
        }
    }
}

/// Whether [`KernelKind::Auto`] goes on with epoll: io_uring is forbidden here (EPERM), or not there (ENOSYS, EINVAL, too
/// old), and the set-up as such made sense.
pub(crate) fn falls_back(refusal: &Refusal) -> bool {
    let lacking = matches!(refusal.errno(), libc::EPERM | libc::ENOSYS | libc::EINVAL | libc::EOPNOTSUPP);
    lacking && refusal.kind() != io::ErrorKind::InvalidInput
}

/// What `Auto` runs on, if the environment is silent, by what became of a ring.
pub(crate) fn name_of(io_uring: &Result<Features, Refusal>) -> &'static str {
    match io_uring {
        Ok(_) => "io_uring",
        Err(refusal) if falls_back(refusal) => "epoll",
        Err(_) => "none",
    }
}

/// The environment decides only what the program leaves open.
fn named(kind: KernelKind, variable: &str) -> io::Result<KernelKind> {
    match (kind, variable) {
        (KernelKind::Auto, "" | "auto") => Ok(KernelKind::Auto),
        (KernelKind::Auto, "uring") => Ok(KernelKind::IoUring),
        (KernelKind::Auto, "epoll") => Ok(KernelKind::Epoll),
        (KernelKind::Auto, name) => {
            let text = format!("QUOIT_KERNEL={name}: there are `uring`, `epoll` and `auto`");
            Err(io::Error::new(io::ErrorKind::InvalidInput, text))
        }
        (kind, _) => Ok(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides_what_the_program_leaves_open() {
        assert_eq!(named(KernelKind::Auto, "").unwrap(), KernelKind::Auto);
        assert_eq!(named(KernelKind::Auto, "auto").unwrap(), KernelKind::Auto);
        assert_eq!(named(KernelKind::Auto, "uring").unwrap(), KernelKind::IoUring);
        assert_eq!(named(KernelKind::Auto, "epoll").unwrap(), KernelKind::Epoll);
        assert_eq!(named(KernelKind::IoUring, "epoll").unwrap(), KernelKind::IoUring);
        assert_eq!(named(KernelKind::Epoll, "nonsense").unwrap(), KernelKind::Epoll);
        let error = named(KernelKind::Auto, "kqueue").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("QUOIT_KERNEL=kqueue"), "{error}");
    }

    #[test]
    fn only_what_is_forbidden_or_missing_falls_back() {
        let refused = |errno| Refusal::of_call("io_uring_setup", &io::Error::from_raw_os_error(errno));
        for errno in [libc::EPERM, libc::ENOSYS, libc::EINVAL] {
            assert!(falls_back(&refused(errno)), "errno {errno}");
        }
        for errno in [libc::ENOMEM, libc::EMFILE, libc::ENFILE, libc::EACCES] {
            assert!(!falls_back(&refused(errno)), "errno {errno}");
        }
        assert!(falls_back(&Refusal::of_old_kernel("multishot receive", String::from("5.15.0"))));
        assert!(!falls_back(&Refusal::of_request("no entries")));
    }
}
