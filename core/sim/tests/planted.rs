//! Bugs planted on purpose: each must be caught, and by the judge that is there for it.
//!
//! A broken node is a right one in a wrapper that changes what goes in or out of it.

use std::collections::VecDeque;
use std::rc::Rc;

use causet_core::vector::StreamId;
use causet_core::wire::marshal_effect;
use causet_sim::SECOND;
use causet_sim::command::{Answer, Command, Done, Kind, Reply, Request};
use causet_sim::disk::{DiskError, WriteId};
use causet_sim::node::{Boot, Node, Now, Output, Outputs, RequestId, Timer};
use causet_sim::record::{Record, read_log};
use causet_sim::replica::{Message, Replica, ReplicaOptions};
use causet_sim::run::{Failure, FaultLevel, RunOptions, run, try_run};
use causet_sim::session::Mix;

type Out = Outputs<Message>;

/// A way to be wrong: what it changes of what goes in or out.
trait Flaw: Default {
    /// Changes the log that the node starts from.
    fn log(_log: &mut Vec<u8>) {}

    /// Changes a message that arrives.
    fn arriving(&mut self, message: Message) -> Message {
        message
    }

    /// Changes what leaves the node.
    fn leaving(&mut self, output: Output<Message>) -> Output<Message> {
        output
    }

    /// Whether writes are taken for durable as soon as they are submitted.
    const IS_HASTY: bool = false;

    /// Whether what a session has seen is not asked for.
    const IS_FORGETFUL_OF_SESSIONS: bool = false;
}

struct Flawed<F> {
    inner: Replica,
    flaw: F,
}

impl<F: Flaw> Flawed<F> {
    fn pass(&mut self, now: Now, mut inner_out: Out, out: &mut Out) {
        let mut outputs: VecDeque<_> = inner_out.take().into();
        while let Some(output) = outputs.pop_front() {
            if F::IS_HASTY
                && let Output::Persist(write, _) = &output
            {
                let write = *write;
                out.put(output);
                let mut more = out.nested();
                self.inner.on_durable(now, write, Ok(()), &mut more);
                outputs.extend(more.take());
                continue;
            }
            out.put(self.flaw.leaving(output));
        }
    }
}

impl<F: Flaw> Node for Flawed<F> {
    type Message = Message;
    type Options = ReplicaOptions;

    fn start(boot: Boot<'_, ReplicaOptions>, out: &mut Out) -> Self {
        let mut log = boot.log.to_vec();
        F::log(&mut log);
        if log.len() < boot.log.len() {
            out.cut(log.len());
        }
        let inner = Replica::start(Boot { log: &log, ..boot }, out);
        Flawed {
            inner,
            flaw: F::default(),
        }
    }

    fn on_message(&mut self, now: Now, from: usize, message: Message, out: &mut Out) {
        let mut buffer = out.nested();
        let message = self.flaw.arriving(message);
        self.inner.on_message(now, from, message, &mut buffer);
        self.pass(now, buffer, out);
    }

    fn on_timer(&mut self, now: Now, timer: Timer, out: &mut Out) {
        let mut buffer = out.nested();
        self.inner.on_timer(now, timer, &mut buffer);
        self.pass(now, buffer, out);
    }

    fn on_durable(
        &mut self,
        now: Now,
        write: WriteId,
        result: Result<(), DiskError>,
        out: &mut Out,
    ) {
        if F::IS_HASTY {
            return;
        }
        let mut buffer = out.nested();
        self.inner.on_durable(now, write, result, &mut buffer);
        self.pass(now, buffer, out);
    }

    fn on_client(&mut self, now: Now, id: RequestId, request: &Request, out: &mut Out) {
        let mut buffer = out.nested();
        let mut request = request.clone();
        if F::IS_FORGETFUL_OF_SESSIONS {
            request.past = Default::default();
        }
        self.inner.on_client(now, id, &request, &mut buffer);
        self.pass(now, buffer, out);
    }

    fn digest(&self) -> u64 {
        self.inner.digest()
    }

    fn peek(&self, command: &Command) -> Done {
        self.inner.peek(command)
    }

    fn check(&self) -> Result<(), String> {
        self.inner.check()
    }
}

/// All failures of a flaw over some seeds, as text.
fn failures<F: Flaw>(faults: FaultLevel, mix: &Mix, node: &ReplicaOptions) -> Vec<String> {
    let failure = |seed| {
        let options = RunOptions {
            seed,
            faults,
            nodes: 4,
            operations: 400,
            mix: mix.clone(),
            ..RunOptions::default()
        };
        try_run::<Flawed<F>>(&options, node).err()
    };
    (0..60).filter_map(failure).collect()
}

/// Registers alone, mostly read: what the causal judge sees most in.
fn registers() -> Mix {
    Mix {
        kinds: vec![Kind::Register],
        keys: 4,
        reads_permille: 700,
        ..Mix::default()
    }
}

fn assert_named(failures: &[String], by: &[&str]) {
    for rule in by {
        let is_named = failures.iter().any(|failure| failure.contains(rule));
        assert!(is_named, "{rule} is not among {failures:#?}");
    }
}

fn assert_caught<F: Flaw>(faults: FaultLevel, by: &[&str]) {
    let failures = failures::<F>(faults, &Mix::default(), &ReplicaOptions::default());
    assert_named(&failures, by);
}

#[derive(Default)]
struct Harmless;

impl Flaw for Harmless {}

#[test]
fn the_wrapper_itself_is_right() {
    let node = ReplicaOptions::default();
    let failures = failures::<Harmless>(FaultLevel::All, &Mix::default(), &node);
    assert_eq!(failures, [""; 0]);
}

/// Forgets the last record that it had made durable, when it starts again.
#[derive(Default)]
struct ForgetsLastRecord;

impl Flaw for ForgetsLastRecord {
    fn log(log: &mut Vec<u8>) {
        let (mut records, _) = read_log(log);
        records.pop();
        log.clear();
        for record in &records {
            record.append_to(log);
        }
    }
}

#[test]
fn a_forgotten_durable_effect_is_caught() {
    assert_caught::<ForgetsLastRecord>(
        FaultLevel::All,
        &["LostAdd", "CounterBounds", "MonotonicWrites", "not quiet"],
    );
}

/// Does not look at what a record requires of other streams.
#[derive(Default)]
struct IgnoresContexts;

impl Flaw for IgnoresContexts {
    fn arriving(&mut self, message: Message) -> Message {
        let Message::Effects(records) = message else {
            return message;
        };
        let bare = |record: &Rc<Record>| {
            Rc::new(Record {
                context: Vec::new(),
                ..Record::clone(record)
            })
        };
        Message::Effects(records.iter().map(bare).collect())
    }
}

#[test]
fn effects_ahead_of_what_their_author_had_seen_are_caught() {
    let rules = ["WritesFollowReads", "MonotonicWrites"];
    assert_caught::<IgnoresContexts>(FaultLevel::All, &rules);
    // Values show it, too, where clients read much and gaps last.
    let node = ReplicaOptions {
        exchange_ns: 2 * SECOND,
        ..ReplicaOptions::default()
    };
    let failures = failures::<IgnoresContexts>(FaultLevel::All, &registers(), &node);
    assert_named(&failures, &["WriteCORead"]);
}

/// Does not look at what an effect depends on.
#[derive(Default)]
struct IgnoresDeps;

impl Flaw for IgnoresDeps {
    fn arriving(&mut self, message: Message) -> Message {
        let Message::Effects(records) = message else {
            return message;
        };
        let bare = |record: &Rc<Record>| {
            let mut deps = Vec::new();
            let mut stamped = record.stamped(&mut deps).unwrap();
            stamped.deps = &[];
            let mut effect = Vec::new();
            marshal_effect(record.at.offset.counter(), &stamped, &mut effect);
            Rc::new(Record {
                at: record.at,
                context: Vec::new(),
                effect,
            })
        };
        Message::Effects(records.iter().map(bare).collect())
    }
}

#[test]
fn effects_applied_without_their_dependencies_are_caught() {
    assert_caught::<IgnoresDeps>(FaultLevel::None, &["not quiet"]);
}

/// Sends and answers before the write is durable.
#[derive(Default)]
struct Hasty;

impl Flaw for Hasty {
    const IS_HASTY: bool = true;
}

#[test]
fn answers_before_durability_are_caught() {
    assert_caught::<Hasty>(FaultLevel::All, &["CounterBounds", "LostAdd"]);
}

/// Serves any session, however far behind it is.
#[derive(Default)]
struct ServesStrangers;

impl Flaw for ServesStrangers {
    const IS_FORGETFUL_OF_SESSIONS: bool = true;
}

#[test]
fn sessions_that_move_ahead_of_their_data_are_caught() {
    let node = ReplicaOptions::default();
    let failures = failures::<ServesStrangers>(FaultLevel::All, &registers(), &node);
    assert_named(&failures, &["WriteCORead"]);
    assert_caught::<ServesStrangers>(FaultLevel::All, &["ReadYourWrites", "MonotonicReads"]);
}

/// Answers each seventh read of a counter with more than anybody had added.
#[derive(Default)]
struct Miscounts(u32);

impl Flaw for Miscounts {
    fn leaving(&mut self, output: Output<Message>) -> Output<Message> {
        match output {
            Output::Reply(id, Reply::Done(mut done)) => {
                if let Answer::Count(count) = &mut done.answer {
                    self.0 += 1;
                    *count += i64::from(self.0.is_multiple_of(7)) * 1_000;
                }
                Output::Reply(id, Reply::Done(done))
            }
            output => output,
        }
    }
}

#[test]
fn a_wrong_count_is_caught() {
    assert_caught::<Miscounts>(FaultLevel::None, &["CounterBounds"]);
}

/// Loses one stream's messages and anti-entropy for good.
#[derive(Default)]
struct Deaf;

impl Flaw for Deaf {
    fn arriving(&mut self, message: Message) -> Message {
        match message {
            Message::Effects(records) => {
                let heard = |record: &&Rc<Record>| StreamId::of(record.at).number == 0;
                Message::Effects(records.iter().filter(heard).cloned().collect())
            }
            message => message,
        }
    }
}

#[test]
fn nodes_that_never_converge_are_caught() {
    let options = RunOptions {
        faults: FaultLevel::None,
        ..RunOptions::default()
    };
    let failure = run::<Flawed<Deaf>>(&options, &ReplicaOptions::default()).unwrap_err();
    assert!(matches!(failure, Failure::NotQuiet(_)), "{failure}");
}
