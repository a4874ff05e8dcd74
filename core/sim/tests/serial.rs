//! Transactions, end to end: a node that runs them one after the other is serialisable, and one that
//! now and then answers from an old state is not.

use std::collections::{BTreeMap, VecDeque};

use causet_core::vector::VersionVector;
use causet_sim::SECOND;
use causet_sim::command::{Answer, Command, Done, End, Key, Kind, Reply, Request};
use causet_sim::disk::{DiskError, WriteId};
use causet_sim::fault::Faults;
use causet_sim::history::History;
use causet_sim::judge::serial::{Level, Verdict};
use causet_sim::judge::{serial, types};
use causet_sim::node::{Boot, Node, Now, Outputs, RequestId, Timer};
use causet_sim::session::Mix;
use causet_sim::trace::Trace;
use causet_sim::world::World;

type State = BTreeMap<Key, VecDeque<u64>>;

/// The only node: registers and lists in memory. Every so many requests it answers from the state
/// that it had some requests before.
struct Sequential {
    stale_every: Option<u64>,
    requests: u64,
    state: State,
    old: State,
}

fn execute(state: &mut State, command: &Command) -> Answer {
    match command {
        Command::Read(key) => {
            let list = state.get(key).cloned().unwrap_or_default();
            match key.kind {
                Kind::Register => Answer::Value(list.front().copied()),
                _ => Answer::Elements(list.into()),
            }
        }
        Command::Write(key, value) => {
            state.insert(*key, [*value].into());
            Answer::Ok
        }
        Command::Push(key, end, values) => {
            let list = state.entry(*key).or_default();
            for &value in values {
                match end {
                    End::Head => list.push_front(value),
                    End::Tail => list.push_back(value),
                }
            }
            Answer::Ok
        }
        Command::Pop(key, end) => {
            let list = state.entry(*key).or_default();
            Answer::Value(match end {
                End::Head => list.pop_front(),
                End::Tail => list.pop_back(),
            })
        }
        Command::Transaction(commands) => {
            Answer::All(commands.iter().map(|it| execute(state, it)).collect())
        }
        other => unreachable!("{other:?} is not in the mix"),
    }
}

fn done(answer: Answer) -> Done {
    Done {
        answer,
        read: Vec::new(),
        wrote: Vec::new(),
        held: VersionVector::new(),
    }
}

impl Node for Sequential {
    type Message = ();
    type Options = Option<u64>;

    fn start(boot: Boot<'_, Option<u64>>, _out: &mut Outputs<()>) -> Self {
        Sequential {
            stale_every: *boot.options,
            requests: 0,
            state: State::new(),
            old: State::new(),
        }
    }

    fn on_message(&mut self, _: Now, _: usize, (): (), _: &mut Outputs<()>) {}

    fn on_timer(&mut self, _: Now, _: Timer, _: &mut Outputs<()>) {}

    fn on_durable(&mut self, _: Now, _: WriteId, _: Result<(), DiskError>, _: &mut Outputs<()>) {}

    fn on_client(&mut self, _: Now, id: RequestId, request: &Request, out: &mut Outputs<()>) {
        self.requests += 1;
        let mut answer = execute(&mut self.state.clone(), &request.command);
        if let Some(every) = self.stale_every
            && self.requests.is_multiple_of(every)
        {
            answer = execute(&mut self.old, &request.command);
            self.old = self.state.clone();
        }
        execute(&mut self.state, &request.command);
        out.reply(id, Reply::Done(done(answer)));
    }

    fn digest(&self) -> u64 {
        0
    }

    fn peek(&self, command: &Command) -> Done {
        done(execute(&mut self.state.clone(), command))
    }

    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

fn history(seed: u64, kind: Kind, stale_every: Option<u64>) -> History {
    let mix = Mix {
        kinds: vec![kind],
        keys: 2,
        transactions_permille: 700,
        ..Mix::default()
    };
    let clients = (80, mix);
    let trace = Trace::new(false);
    let mut world = World::<Sequential>::new(seed, 1, Faults::none(), clients, stale_every, trace);
    while !world.clients().are_done() {
        world.run_until(world.now_ns() + SECOND).unwrap();
    }
    world.read_all();
    world.clients().history().clone()
}

#[test]
fn transactions_one_after_the_other_are_strictly_serialisable() {
    for seed in 0..30 {
        let registers = history(seed, Kind::Register, None);
        let verdict = serial::registers(&registers, Level::Strict);
        assert_eq!(verdict, Verdict::Right, "seed {seed}");
        let lists = history(seed, Kind::List, None);
        assert_eq!(types::lists(&lists, types::Pops::Once), [], "seed {seed}");
    }
}

#[test]
fn transactions_that_read_an_old_state_are_not() {
    let is_wrong = |seed| {
        let registers = history(seed, Kind::Register, Some(5));
        matches!(
            serial::registers(&registers, Level::Strict),
            Verdict::Wrong(_)
        )
    };
    let wrong = (0..30).filter(|&seed| is_wrong(seed)).count();
    assert!(wrong > 10, "{wrong} of 30");
    let is_wrong = |seed| {
        let lists = history(seed, Kind::List, Some(5));
        !types::lists(&lists, types::Pops::Once).is_empty()
    };
    let wrong = (0..30).filter(|&seed| is_wrong(seed)).count();
    assert!(wrong > 10, "{wrong} of 30");
}
