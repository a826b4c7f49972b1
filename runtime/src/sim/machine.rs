//! The machines of a world beside its main one, and the turns that they take.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use crate::builder::Builder;
use crate::driver::wake;
use crate::kernel::sim::{HostId, RingId, Seat, World};
use crate::runtime::{Core, Runtime};
use crate::task::JoinHandle;

/// What the runtimes of one world share.
pub(crate) struct Simulation {
    world: Rc<World>,
    /// All machines but the main one, in the order in which they were made.
    machines: RefCell<Vec<Rc<Machine>>>,
    /// Nothing comes from outside: a world that stands still is an error.
    is_closed_world: Cell<bool>,
}

/// The place of one runtime in it.
pub(crate) struct Simulated {
    pub(crate) seat: Rc<Seat>,
    pub(crate) simulation: Rc<Simulation>,
}

/// A machine, whether or not it runs.
pub(crate) struct Machine {
    pub(crate) host: HostId,
    name: String,
    /// Makes what it runs.
    make: Box<dyn Fn() -> Pin<Box<dyn Future<Output = ()>>>>,
    /// Gone while it is down.
    running: RefCell<Option<Rc<Program>>>,
    has_finished: Cell<bool>,
    /// Who waits for its end.
    joiners: RefCell<Vec<Waker>>,
}

/// What runs on a machine.
struct Program {
    runtime: Runtime,
    task: Cell<Option<JoinHandle<()>>>,
}

impl Simulation {
    /// The simulation of a world whose main runtime has this seat.
    pub(crate) fn new(seat: &Seat) -> Rc<Self> {
        let (machines, is_closed_world) = (RefCell::new(Vec::new()), Cell::new(false));
        Rc::new(Self { world: Rc::clone(&seat.world), machines, is_closed_world })
    }

    pub(crate) fn world(&self) -> &Rc<World> {
        &self.world
    }

    /// Nothing comes from outside: other threads do not take part.
    pub(crate) fn close_world(&self) {
        self.is_closed_world.set(true);
    }

    /// Adds a machine, and starts it.
    pub(crate) fn add(
        self: &Rc<Self>,
        name: &str,
        make: Box<dyn Fn() -> Pin<Box<dyn Future<Output = ()>>>>,
    ) -> Rc<Machine> {
        assert!(!self.world.has_host(name), "there is a machine named {name:?} already");
        let machine = Rc::new(Machine {
            host: self.world.add_host(name),
            name: name.to_owned(),
            make,
            running: RefCell::new(None),
            has_finished: Cell::new(false),
            joiners: RefCell::new(Vec::new()),
        });
        self.machines.borrow_mut().push(Rc::clone(&machine));
        self.start(&machine);
        machine
    }

    pub(crate) fn start(self: &Rc<Self>, machine: &Machine) {
        self.world.power_on(machine.host);
        let built = Builder::new().name(&machine.name).build_in(Rc::clone(self), machine.host);
        let runtime = built.unwrap_or_else(|error| panic!("no runtime for the machine {:?}: {error}", machine.name));
        let task = runtime.spawn((machine.make)());
        machine.has_finished.set(false);
        let program = Rc::new(Program { runtime, task: Cell::new(Some(task)) });
        machine.running.replace(Some(program));
    }

    /// The power of a machine fails. What it runs is dropped; where it runs just now, as soon as it gives up its turn.
    pub(crate) fn crash(&self, machine: &Machine) {
        let program = machine.running.take();
        if program.is_some() {
            self.world.crash(machine.host);
        }
        drop(program);
    }

    /// Lets the world and the other machines run, until it is the turn of the main one again.
    fn let_others_run(&self, main: &Core, seat: &Seat) {
        self.world.end_turn();
        loop {
            if let Some(violation) = self.world.violation() {
                panic!("{violation} (seed {})", self.world.seed);
            }
            let programs: Vec<(Rc<Machine>, Rc<Program>)> = {
                let machines = self.machines.borrow();
                let running = |machine: &Rc<Machine>| Some((Rc::clone(machine), machine.running.borrow().clone()?));
                machines.iter().filter_map(running).collect()
            };
            let rings: Vec<RingId> =
                programs.iter().map(|(_, program)| program.seat().ring).chain([seat.ring]).collect();
            let mut has_turn = programs;
            has_turn.retain(|(_, program)| has_work(program.core()));
            let count = has_turn.len() + usize::from(has_work(main));
            if count == 0 {
                if !self.world.advance(&rings) {
                    self.stand_still();
                }
                continue;
            }
            // Only the one that has its turn is held, so that others which crash meanwhile are gone at once.
            match has_turn.into_iter().nth(self.world.choose(count)) {
                Some((machine, program)) => self.give_turn(&machine, &program),
                None => return self.world.wake_up(seat.ring),
            }
        }
    }

    fn give_turn(&self, machine: &Machine, program: &Program) {
        let ring = program.seat().ring;
        self.world.wake_up(ring);
        program.core().take_turn();
        self.world.end_turn();
        if let Some(payload) = machine.finish(program) {
            resume_unwind(payload);
        }
    }

    /// Nothing will ever happen by itself.
    fn stand_still(&self) {
        assert!(
            !self.is_closed_world.get(),
            "the simulation stands still: every machine waits, nothing is on its way, and no timer runs (seed {})",
            self.world.seed
        );
        // Another thread may have something to say.
        thread::sleep(PAUSE);
    }
}

impl Simulated {
    /// From now on the runtimes of the world take turns, until the guard is dropped.
    pub(crate) fn schedule(&self) -> Scheduled<'_> {
        Scheduled { world: &self.seat.world, before: self.seat.world.set_scheduled(true) }
    }

    /// See [`Simulation::let_others_run`].
    pub(crate) fn let_others_run(&self, main: &Core) {
        self.simulation.let_others_run(main, &self.seat);
    }

    /// The main machine ends, and with it all others.
    pub(crate) fn end_others(&self) {
        if self.seat.host != MAIN {
            return;
        }
        // One after another, as the destructors of one may look at the others.
        loop {
            let machine = self.simulation.machines.borrow_mut().pop();
            let Some(machine) = machine else { break };
            let program = machine.running.take();
            drop(program);
        }
    }
}

/// While it lives, runtimes take turns.
pub(crate) struct Scheduled<'a> {
    world: &'a World,
    before: bool,
}

impl Drop for Scheduled<'_> {
    fn drop(&mut self) {
        self.world.set_scheduled(self.before);
    }
}

impl Machine {
    pub(crate) fn is_running(&self) -> bool {
        self.running.borrow().is_some()
    }

    pub(crate) fn poll_finished(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_finished.get() {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        self.joiners.borrow_mut().push(waker);
        Poll::Pending
    }

    /// Whether what it runs has come to its end. The answer is the panic that ended it.
    fn finish(&self, program: &Program) -> Option<Box<dyn Any + Send>> {
        let task = program.task.take()?;
        if !task.is_finished() {
            program.task.set(Some(task));
            return None;
        }
        self.has_finished.set(true);
        let joiners = self.joiners.take();
        joiners.into_iter().for_each(wake);
        match pin!(task).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Err(error)) if error.is_panic() => Some(error.into_panic()),
            _ => None,
        }
    }
}

impl Program {
    fn core(&self) -> &Core {
        self.runtime.core()
    }

    fn seat(&self) -> &Seat {
        let simulated = self.core().simulated.as_ref();
        &simulated.expect("a machine's runtime is simulated").seat
    }
}

/// Whether a turn of a runtime would achieve anything.
fn has_work(core: &Core) -> bool {
    let seat = core.simulated.as_ref().map(|simulated| &simulated.seat);
    core.executor.has_ready() || core.executor.has_mail() || seat.is_some_and(|seat| seat.world.is_awake(seat.ring))
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine")
            .field("name", &self.name)
            .field("is_running", &self.is_running())
            .finish_non_exhaustive()
    }
}

/// The machine of the runtime that the world was made for.
const MAIN: HostId = 0;
/// How long to wait before another thread is given another look.
const PAUSE: Duration = Duration::from_micros(50);
