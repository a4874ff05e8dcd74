//! `causet-bench load`: one load against one server, and what came of it.
//!
//! For a server that is already running, whoever started it. The comparison of servers is
//! [`crate::compare`], which drives the same generator.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use crate::error::{Doing, Error, Result};
use crate::generator::{Address, Generator, Limit, Load, Outcome, Pace};
use crate::keys::{Keys, Zipf};
use crate::process;
use crate::rng::Rng;
use crate::schedule::Schedule;
use crate::template::Mix;
use crate::workload::{self, Touch};

/// Options of `causet-bench load`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Server address.
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,
    /// Server port.
    #[arg(long, short, default_value_t = 6379)]
    pub port: u16,
    /// Unix socket, instead of host and port.
    #[arg(long, short)]
    pub socket: Option<PathBuf>,
    /// Connections, over all threads.
    #[arg(long, short, default_value_t = 50)]
    pub connections: usize,
    /// Requests in flight per connection.
    #[arg(long, short = 'P', default_value_t = 1)]
    pub pipeline: usize,
    /// Threads of the generator.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Commands and weights, such as `GET:9,SET:1`.
    #[arg(long, short, default_value = "SET")]
    pub tests: String,
    /// Size of the keyspace.
    #[arg(long, short = 'r', default_value_t = 1_000_000)]
    pub keyspace: u64,
    /// Draw keys by Zipf's law with this exponent, between 0 and 1, instead of uniformly.
    #[arg(long)]
    pub zipf: Option<f64>,
    /// Bytes of a value.
    #[arg(long, short = 'd', default_value_t = 64)]
    pub value_bytes: usize,
    /// Requests to send.
    #[arg(long, short = 'n')]
    pub requests: Option<u64>,
    /// Seconds to send for; 10 when requests are not given either.
    #[arg(long)]
    pub seconds: Option<f64>,
    /// Open loop: start this many requests a second, and measure from when they should have started.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Open loop: requests arrive independently (exponential gaps) instead of at equal gaps.
    #[arg(long, requires = "rate")]
    pub poisson: bool,
    /// Seed of keys, mix and gaps.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Pin the generator to this core.
    #[arg(long)]
    pub core: Option<usize>,
    /// Write the latency distribution here, in HdrHistogram's text format, in milliseconds.
    #[arg(long)]
    pub hgrm: Option<PathBuf>,
    /// Print one line of CSV under a header instead of text.
    #[arg(long)]
    pub csv: bool,
}

/// Parses `GET:9,SET:1`; a missing weight is 1.
fn parse_mix(text: &str, value_bytes: usize) -> Result<Mix> {
    let mut commands = Vec::new();
    for part in text.split(',') {
        let (name, weight) = part.split_once(':').unwrap_or((part, "1"));
        let weight = weight
            .parse()
            .ok()
            .filter(|&weight: &u64| weight > 0)
            .ok_or_else(|| {
                Error::Usage(format!(
                    "the weight of {name} is a number from 1, not {weight}"
                ))
            })?;
        let test = workload::test(name)?;
        if test.touch == Touch::Each {
            // Every thread would walk the same keys, and this sub-command fills and empties nothing.
            let text = format!("{name} is a test of `compare`, on servers that it knows are empty");
            return Err(Error::Usage(text));
        }
        commands.push((test.template(value_bytes), weight));
    }
    Ok(Mix::weighted(commands))
}

impl Options {
    fn address(&self) -> Address {
        match &self.socket {
            Some(path) => Address::Unix(path.clone()),
            None => Address::Tcp(format!("{}:{}", self.host, self.port)),
        }
    }

    fn keys(&self) -> Result<Keys> {
        let usage = |text: &str| Err(Error::Usage(text.to_owned()));
        match self.zipf {
            _ if self.keyspace == 0 => usage("--keyspace is at least 1"),
            None => Ok(Keys::uniform(self.keyspace)),
            Some(theta) if theta > 0.0 && theta < 1.0 && self.keyspace > 1 => {
                Ok(Keys::Zipf(Zipf::new(self.keyspace, theta)))
            }
            Some(_) => usage("--zipf lies between 0 and 1, over at least 2 keys"),
        }
    }

    /// The part of the load that falls to each thread.
    fn parts(&self) -> Result<Vec<(Load, Pace, Limit)>> {
        let threads = self.threads;
        if threads == 0 || self.connections < threads || self.pipeline == 0 {
            return Err(Error::Usage(
                "a thread needs a connection, and a connection a pipeline of 1".to_owned(),
            ));
        }
        if self
            .rate
            .is_some_and(|rate| rate <= 0.0 || !rate.is_finite())
        {
            return Err(Error::Usage("--rate is above 0".to_owned()));
        }
        let seconds = self.seconds.or(self.requests.is_none().then_some(10.0));
        let duration = seconds
            .map(Duration::try_from_secs_f64)
            .transpose()
            .map_err(|error| Error::Usage(format!("--seconds: {error}")))?;
        let mix = parse_mix(&self.tests, self.value_bytes)?;
        let keys = self.keys()?;
        let share =
            |total: usize, index: usize| total / threads + usize::from(index < total % threads);
        let part = |index: usize| {
            let seed = self.seed.wrapping_add(index as u64);
            let load = Load {
                address: self.address(),
                connections: share(self.connections, index),
                depth: self.pipeline,
                mix: mix.clone(),
                keys: keys.clone(),
                seed,
            };
            let pace = match self.rate.map(|rate| rate / threads as f64) {
                None => Pace::Closed,
                Some(rate) if self.poisson => Pace::open(Schedule::poisson(rate, Rng::new(!seed))),
                Some(rate) => Pace::open(Schedule::even(rate)),
            };
            let requests = self
                .requests
                .map(|total| share(total as usize, index) as u64);
            (load, pace, Limit { requests, duration })
        };
        Ok((0..threads).map(part).collect())
    }
}

/// Drives the load that the options describe; error replies make it fail.
pub fn measure(options: &Options) -> Result<Outcome> {
    if let Some(core) = options.core {
        process::pin_self(core)?;
    }
    let parts = options.parts()?;
    let outcomes: Vec<Result<Outcome>> = thread::scope(|scope| {
        let workers: Vec<_> = parts
            .into_iter()
            .map(|(load, pace, limit)| {
                scope.spawn(move || Generator::connect(&load)?.run(pace, limit))
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| {
                worker
                    .join()
                    .expect("a load thread reports errors and does not panic")
            })
            .collect()
    });
    let mut merged = Outcome::default();
    for outcome in outcomes {
        merged.merge(outcome?);
    }
    merged.checked()
}

/// Runs the sub-command: measures, prints, writes the files that were asked for.
pub fn run(options: &Options) -> Result<()> {
    let outcome = measure(options)?;
    if let Some(path) = &options.hgrm {
        let file = File::create(path).doing(|| format!("creating {}", path.display()))?;
        let mut out = BufWriter::new(file);
        outcome
            .latency
            .write_hgrm(&mut out)
            .and_then(|()| out.flush())
            .doing(|| format!("writing {}", path.display()))?;
    }
    let percentiles = outcome.latency.percentiles();
    let columns = [
        ("p50", percentiles.p50_ns),
        ("p90", percentiles.p90_ns),
        ("p99", percentiles.p99_ns),
        ("p99.9", percentiles.p999_ns),
        ("p99.99", percentiles.p9999_ns),
        ("max", percentiles.max_ns),
    ];
    if options.csv {
        println!(
            "requests,seconds,requests_per_second,empty,unsent,p50_us,p90_us,p99_us,p99.9_us,p99.99_us,max_us"
        );
        print!(
            "{},{:.3},{:.0},{},{}",
            outcome.requests,
            outcome.elapsed.as_secs_f64(),
            outcome.throughput(),
            outcome.empty,
            outcome.unsent
        );
        for (_, nanoseconds) in columns {
            print!(",{:.1}", nanoseconds as f64 / 1e3);
        }
        println!();
        return Ok(());
    }
    println!(
        "{} requests in {:.3} s: {:.0} requests/s",
        outcome.requests,
        outcome.elapsed.as_secs_f64(),
        outcome.throughput()
    );
    for (name, nanoseconds) in columns {
        println!("{name:>8} {:12.1} us", nanoseconds as f64 / 1e3);
    }
    if outcome.empty > 0 {
        println!("{} replies were empty", outcome.empty);
    }
    if outcome.unsent > 0 {
        println!(
            "{} scheduled requests were never sent: the server is too slow",
            outcome.unsent
        );
    }
    Ok(())
}
