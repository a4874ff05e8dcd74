//! One run from one seed: faults and clients, then healing, then quiet, then the judges.

use std::collections::BTreeSet;
use std::panic;

use crate::fault::Faults;
use crate::history::History;
use crate::judge::{self, Violation};
use crate::node::Node;
use crate::rng::Rng;
use crate::session::Mix;
use crate::trace::Trace;
use crate::world::{BrokenInvariant, Counts, World};
use crate::{MS, SECOND};

/// Once healed, a run must be quiet within this much virtual time. Clocks were wrong by 5 s at
/// most, and stamps from the future are refused until their time has come; on top of that a client
/// waits 2 s before it gives up, and the rest are some rounds of anti-entropy.
pub const QUIET_BOUND_NS: u64 = 15 * SECOND;
/// Clients have asked everything within this much virtual time, or the run is stuck.
pub const ACTIVE_BOUND_NS: u64 = 3_600 * SECOND;
const STEP_NS: u64 = 50 * MS;

/// Which faults a run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum FaultLevel {
    /// None.
    None,
    /// Each kind with a probability of one half.
    #[default]
    Swarm,
    /// All kinds.
    All,
}

/// What makes a run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Decides everything else.
    pub seed: u64,
    /// Number of nodes, 1 to [`crate::world::NODES_MAX`].
    pub nodes: usize,
    /// Number of operations that clients ask for.
    pub operations: u64,
    /// Which faults there are.
    pub faults: FaultLevel,
    /// What clients ask for.
    pub mix: Mix,
    /// Whether every event is printed.
    pub prints: bool,
}

impl Default for RunOptions {
    /// Seed 0, 3 nodes, 200 operations, a swarm of faults, nothing printed.
    fn default() -> Self {
        RunOptions {
            seed: 0,
            nodes: 3,
            operations: 200,
            faults: FaultLevel::default(),
            mix: Mix::default(),
            prints: false,
        }
    }
}

impl RunOptions {
    /// The command that repeats the run, of [`crate::replica::Replica`] with the usual
    /// [`RunOptions::mix`].
    pub fn command(&self) -> String {
        let faults = match self.faults {
            FaultLevel::None => " --faults none",
            FaultLevel::Swarm => "",
            FaultLevel::All => " --faults all",
        };
        format!(
            "causet-sim --seed {} --nodes {} --ops {}{faults} --trace",
            self.seed, self.nodes, self.operations
        )
    }
}

/// A run that went well.
#[derive(Clone, Debug)]
pub struct Report {
    /// Hash of all events.
    pub trace_hash: u64,
    /// Number of events.
    pub events: u64,
    /// Virtual time from start to quiet.
    pub virtual_ns: u64,
    /// Virtual time from healing to quiet, in steps of 50 ms.
    pub quiet_after_ns: u64,
    /// What happened.
    pub counts: Counts,
    /// What clients saw.
    pub history: History,
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A node broke an invariant of its own.
    #[error("broken invariant: {0}")]
    Invariant(#[from] BrokenInvariant),
    /// Clients were not served: a request neither answered nor given up.
    #[error("clients are stuck after {ACTIVE_BOUND_NS} ns")]
    Stuck,
    /// Nodes differ, long after everything was healed.
    #[error("not quiet {QUIET_BOUND_NS} ns after healing; digests {0:x?}")]
    NotQuiet(Vec<u64>),
    /// Nodes were equal, and then changed without anybody asking.
    #[error("nodes changed after they were quiet")]
    Unquiet,
    /// What clients saw breaks a promise.
    #[error("{} violations ({}), the first: {}", .0.len(), rules(.0), .0[0])]
    Judged(Vec<Violation>),
}

/// The rules that were broken, each once.
fn rules(violations: &[Violation]) -> String {
    let rules: BTreeSet<_> = violations.iter().map(|it| it.rule).collect();
    rules.into_iter().collect::<Vec<_>>().join(", ")
}

/// Prints the seed if the thread panics while it lives.
struct SeedNote(String);

impl Drop for SeedNote {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the run panicked; to repeat it: {}", self.0);
        }
    }
}

/// Runs a world of nodes of type `N` and judges it. A panic inside prints the command that repeats
/// the run, and goes on.
///
/// # Errors
/// [`Failure`]: what went wrong first.
pub fn run<N: Node>(options: &RunOptions, node: &N::Options) -> Result<Report, Failure> {
    let _note = SeedNote(options.command());
    let mut rng = Rng::new(options.seed);
    let faults = match options.faults {
        FaultLevel::None => Faults::none(),
        FaultLevel::Swarm => Faults::draw(&mut rng),
        FaultLevel::All => Faults::all(&mut rng),
    };
    let mut trace = Trace::new(options.prints);
    trace.event(0, None, "faults", &format!("{faults:?}"));
    let clients = (options.operations, options.mix.clone());
    let mut world = World::<N>::new(
        rng.next_u64(),
        options.nodes,
        faults,
        clients,
        node.clone(),
        trace,
    );

    while !world.clients().are_done() {
        if world.now_ns() > ACTIVE_BOUND_NS {
            return Err(Failure::Stuck);
        }
        world.run_until(world.now_ns() + STEP_NS)?;
    }
    world.heal();
    let healed_ns = world.now_ns();
    loop {
        world.run_until(world.now_ns() + STEP_NS)?;
        if world.is_quiet() {
            break;
        }
        if world.now_ns() > healed_ns + QUIET_BOUND_NS {
            return Err(Failure::NotQuiet(world.nodes().map(N::digest).collect()));
        }
    }
    let quiet_ns = world.now_ns();
    let digest = world.nodes().map(N::digest).next();
    world.run_until(quiet_ns + SECOND)?;
    if !world.is_quiet() || world.nodes().map(N::digest).next() != digest {
        return Err(Failure::Unquiet);
    }
    world.read_all();
    let violations = judge::all(world.clients().history());
    if !violations.is_empty() {
        return Err(Failure::Judged(violations));
    }
    Ok(Report {
        trace_hash: world.trace().hash(),
        events: world.trace().events(),
        virtual_ns: quiet_ns,
        quiet_after_ns: quiet_ns - healed_ns,
        counts: world.counts(),
        history: world.clients().history().clone(),
    })
}

/// As [`run`], but a panic of a node is a failed run and not the end of the process: for many seeds
/// in a row. The panic's message has gone to standard error by then.
///
/// # Errors
/// The failure's text.
pub fn try_run<N: Node>(options: &RunOptions, node: &N::Options) -> Result<Report, String>
where
    N::Options: panic::RefUnwindSafe,
{
    match panic::catch_unwind(|| run::<N>(options, node)) {
        Ok(result) => result.map_err(|failure| failure.to_string()),
        Err(_) => Err("panicked".to_owned()),
    }
}
