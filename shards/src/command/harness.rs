//! Runs commands in unit tests, on one shard without sockets and without a log.

use std::sync::Arc;

use causet_core::engine::{Engine, EngineOptions, Now};
use causet_core::id::NodeId;
use causet_core::value::{HashSeed, Limits};
use causet_net::SendBuf;
use causet_proto::resp::{Argv, Parsed, RequestParser, write_request};

use super::table;
use crate::client::Client;
use crate::config::Config;
use crate::execute::{Environment, check, refuse, run};
use crate::journal::Journal;
use crate::shared::{Shared, SharedOptions};
use crate::state::{Random, State};
use crate::ticks;

/// A shard and one client of it.
pub struct Harness {
    /// The shard.
    pub state: State,
    /// The client.
    pub client: Client,
}

impl Harness {
    /// An empty shard at Unix second 1,000,000.
    pub fn new() -> Self {
        let shared = Shared::new(SharedOptions {
            shards: 1,
            node: NodeId(1),
            started_ms: 1_000_000_000,
            run_id: "0".repeat(40),
            config_source: Default::default(),
            port: 6379,
            config: Config::default(),
        });
        let engine = Engine::new(EngineOptions {
            node: NodeId(1),
            stream: 0,
            databases: 16,
            seed: HashSeed(7),
            limits: Limits::default(),
        });
        let mut state = State::new(0, Arc::new(shared), engine, Journal::Off, Random::new(42));
        state.now = Now {
            unix_ns: 1_000_000_000_000_000,
        };
        Harness {
            state,
            client: Client {
                id: 1,
                authenticated: true,
                ..Client::default()
            },
        }
    }

    /// Moves the clock.
    pub fn advance_ms(&mut self, ms: u64) {
        self.state.now.unix_ns += ms * 1_000_000;
    }

    /// Runs one command; returns the raw reply.
    pub fn run(&mut self, args: &[&[u8]]) -> Vec<u8> {
        let mut request = Vec::new();
        write_request(&mut request, args);
        let mut argv = Argv::new();
        let parsed = RequestParser::new().parse(&request, &mut argv);
        assert!(matches!(parsed, Ok(Parsed::Complete { .. })));
        let args = argv.args(&request);
        let mut out = SendBuf::new();
        let Some(row) = table::find(&args[0]).map(|row| row.resolve(args)) else {
            return b"-ERR unknown command\r\n".to_vec();
        };
        if let Err(failure) = check(&mut self.state, &self.client, row, args) {
            refuse(&mut self.state, &self.client, &mut out, &failure);
        } else {
            let arena = bumpalo::Bump::new();
            self.state.ran_until = ticks::now();
            let env = Environment {
                state: &mut self.state,
                client: &mut self.client,
                out: &mut out,
                arena: &arena,
                held: None,
            };
            run(env, row, args);
        }
        out.to_bytes()
    }

    /// Runs a command given as words; returns the reply as text.
    pub fn text(&mut self, line: &str) -> String {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        String::from_utf8_lossy(&self.run(&args)).into_owned()
    }

    /// Asserts the replies to commands given as words.
    pub fn expect(&mut self, cases: &[(&str, &str)]) {
        for (line, want) in cases {
            assert_eq!(&self.text(line), want, "{line}");
        }
    }
}
