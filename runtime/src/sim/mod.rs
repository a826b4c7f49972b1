//! Simulated worlds: the same program, on machines, a network, disks and a clock that a seed decides.
//!
//! A world lives on one thread, and takes no time: where all wait, its clock goes on to what happens next. Whatever may come
//! in several orders comes in one that the seed picks. So a run that fails is run again by its seed, as often as one likes.
//!
//! | | |
//! |---|---|
//! | [`run`], [`check`] | a future in a world; many worlds, one a seed |
//! | [`host`], [`Host`] | more machines, which crash and come back |
//! | [`partition`], [`heal`], [`set_faults`], [`Faults`] | what goes wrong |
//! | [`random`] | choices of one's own that the seed decides |
//! | [`trace_hash`], [`is_simulated`], [`ip`], [`open_files`] | looking at a world from inside |
//!
//! Other threads have no part in a world: work for them ([`blocking::run`](crate::blocking::run)) is done on the spot.
//!
//! # Examples
//!
//! ```
//! use std::time::Duration;
//!
//! use quoit_runtime::sim;
//! use quoit_runtime::timer::{Instant, Timer};
//!
//! let hash = |seed| {
//!     sim::run(seed, async {
//!         let mut hour = Timer::new(Instant::now() + Duration::from_secs(3600));
//!         std::future::poll_fn(|cx| hour.poll_elapsed(cx)).await;
//!         sim::trace_hash()
//!     })
//! };
//! assert_eq!(hash(7), hash(7));
//! ```

mod check;
mod machine;

use std::fmt;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::rc::{Rc, Weak};

use crate::builder::Builder;
use crate::context;
use crate::kernel::choice::KernelKind;
use crate::kernel::sim::world;

pub use crate::kernel::sim::Faults;
pub use crate::sim::check::{check, fails};
pub(crate) use crate::sim::machine::{Machine, Simulated, Simulation};

/// Runs a future in a world of its own, on its main machine. The other machines end with it.
///
/// The world is closed: where every machine waits, nothing is on its way and no timer runs, nothing ever will happen, and that
/// is a panic. [`KernelKind::Sim`] makes a runtime in a world that other threads may wake.
///
/// # Panics
///
/// With the panic of the future, or of what another machine runs; where the world stands still; inside of a runtime; and where
/// the process is short of descriptors.
///
/// # Examples
///
/// ```
/// let answer = quoit_runtime::sim::run(7, async { 6 * 7 });
/// assert_eq!(answer, 42);
/// ```
#[track_caller]
pub fn run<F: Future>(seed: u64, future: F) -> F::Output {
    match Builder::new().kernel(KernelKind::Sim { seed }).build() {
        Ok(runtime) => {
            if let Some(simulated) = &runtime.core().simulated {
                simulated.simulation.close_world();
            }
            runtime.block_on(future)
        }
        Err(error) => panic!("no simulated world: {error}"),
    }
}

/// Adds a machine to the current world, and starts it. `make` makes what it runs, again after each
/// [`restart`](Host::restart).
///
/// Names resolve to the addresses of machines; the main machine is called `main`.
///
/// # Panics
///
/// Outside a simulation, with the caller's location; where the world has a machine of that name; and where `make` does.
///
/// # Examples
///
/// ```
/// use quoit_runtime::sim;
///
/// sim::run(7, async {
///     let other = sim::host("other", || async { assert!(sim::is_simulated()) });
///     other.join().await;
/// });
/// ```
#[track_caller]
pub fn host<M, F>(name: &str, make: M) -> Host
where
    M: Fn() -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    let simulation = simulation("sim::host");
    let machine = simulation.add(name, Box::new(move || Box::pin(make())));
    Host { simulation: Rc::downgrade(&simulation), machine }
}

/// A machine of a world. Made by [`host`]. Dropping it changes nothing.
#[derive(Clone)]
pub struct Host {
    simulation: Weak<Simulation>,
    machine: Rc<Machine>,
}

impl Host {
    /// Its address.
    ///
    /// # Panics
    ///
    /// Where the world is gone.
    #[track_caller]
    pub fn ip(&self) -> IpAddr {
        self.simulation().world().ip(self.machine.host)
    }

    /// Cuts its power: what it runs is dropped, and nothing that its destructors do reaches anybody. Its peers see resets, or
    /// just silence, and of its disk what was not synced may be lost, or torn. Nothing where it is down.
    ///
    /// A machine that crashes itself goes on until it next waits, but reaches nobody.
    ///
    /// # Panics
    ///
    /// As [`ip`](Self::ip).
    #[track_caller]
    pub fn crash(&self) {
        self.simulation().crash(&self.machine);
    }

    /// Starts it again, with the disk that it has; crashes it first where it runs.
    ///
    /// # Panics
    ///
    /// As [`ip`](Self::ip), and where making what it runs does.
    #[track_caller]
    pub fn restart(&self) {
        let simulation = self.simulation();
        simulation.crash(&self.machine);
        simulation.start(&self.machine);
    }

    /// Waits until what it runs has come to its end. One that is down has not; it may be restarted.
    ///
    /// # Cancel safety
    ///
    /// Loses nothing.
    pub async fn join(&self) {
        poll_fn(|cx| self.machine.poll_finished(cx)).await;
    }

    #[track_caller]
    fn simulation(&self) -> Rc<Simulation> {
        match self.simulation.upgrade() {
            Some(simulation) => simulation,
            None => panic!("the world of this machine is gone"),
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Host").field(&self.machine).finish()
    }
}

/// Cuts the way between two machines, in both directions, until [`heal`]. What TCP has sent waits and is sent again; datagrams
/// are lost.
///
/// # Panics
///
/// Outside a simulation, with the caller's location.
#[track_caller]
pub fn partition(one: IpAddr, other: IpAddr) {
    simulation("sim::partition").world().partition(one, other);
}

/// Ends all partitions and faults. Machines that are down stay down.
///
/// # Panics
///
/// As [`partition`].
#[track_caller]
pub fn heal() {
    simulation("sim::heal").world().heal();
}

/// Has things go wrong from now on, in place of the faults that were set before.
///
/// # Panics
///
/// As [`partition`].
#[track_caller]
pub fn set_faults(faults: &Faults) {
    simulation("sim::set_faults").world().set_faults(faults);
}

/// Whether the current runtime is simulated.
///
/// # Examples
///
/// ```
/// use quoit_runtime::sim;
///
/// assert!(!sim::is_simulated());
/// assert!(sim::run(7, async { sim::is_simulated() }));
/// ```
pub fn is_simulated() -> bool {
    world::current().is_some()
}

/// A hash over all that has happened in the current world: the same seed and the same program give the same one.
///
/// # Panics
///
/// As [`partition`].
#[track_caller]
pub fn trace_hash() -> u64 {
    simulation("sim::trace_hash").world().trace_hash()
}

/// Any number: the next that the seed of the current world decides.
///
/// # Panics
///
/// As [`partition`].
#[track_caller]
pub fn random() -> u64 {
    simulation("sim::random").world().draw()
}

/// The address of the machine that this runs on.
///
/// # Panics
///
/// As [`partition`].
#[track_caller]
pub fn ip() -> IpAddr {
    let simulation = simulation("sim::ip");
    let seat = world::current().expect("looked up just now");
    simulation.world().ip(seat.host)
}

/// How many descriptors of simulated sockets and files are open on the machine that this runs on: for tests of leaks.
///
/// # Panics
///
/// As [`partition`].
#[track_caller]
pub fn open_files() -> usize {
    let simulation = simulation("sim::open_files");
    let seat = world::current().expect("looked up just now");
    simulation.world().open_files(seat.host)
}

/// The address of a machine of the current world, by its name. None outside of a simulation; an error where there is none of
/// that name.
#[doc(hidden)]
pub fn lookup(name: &str) -> Option<std::io::Result<IpAddr>> {
    let seat = world::current()?;
    let found = seat.world.with(|state| state.resolve(name));
    Some(found.ok_or_else(|| {
        let text = format!("there is no machine named {name:?} in this simulation");
        std::io::Error::new(std::io::ErrorKind::NotFound, text)
    }))
}

#[track_caller]
fn simulation(what: &str) -> Rc<Simulation> {
    let found = context::try_with(|core| core.simulated.as_ref().map(|simulated| Rc::clone(&simulated.simulation)));
    match found.flatten() {
        Some(simulation) => simulation,
        None => panic!("{what}: this is not a simulation: see `sim::run` and `KernelKind::Sim`"),
    }
}
