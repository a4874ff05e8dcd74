//! Whole runs: a seed is one run, and runs with every fault converge and please the judges.

use causet_sim::history::Outcome;
use causet_sim::replica::{Replica, ReplicaOptions};
use causet_sim::run::{FaultLevel, Report, RunOptions, run};

fn run_replicas(options: &RunOptions) -> Report {
    run::<Replica>(options, &ReplicaOptions::default())
        .unwrap_or_else(|failure| panic!("{failure}; to repeat it: {}", options.command()))
}

#[test]
fn a_seed_is_one_run_event_for_event() {
    for seed in 0..10 {
        let options = RunOptions {
            seed,
            faults: FaultLevel::All,
            ..RunOptions::default()
        };
        let (first, second) = (run_replicas(&options), run_replicas(&options));
        assert_eq!(first.trace_hash, second.trace_hash, "seed {seed}");
        assert_eq!(first.events, second.events);
        let other = RunOptions {
            seed: seed + 1,
            ..options
        };
        assert_ne!(first.trace_hash, run_replicas(&other).trace_hash);
    }
}

#[test]
fn runs_with_every_fault_converge() {
    let (mut crashes, mut failed_writes, mut done) = (0, 0, 0);
    for seed in 0..50 {
        let report = run_replicas(&RunOptions {
            seed,
            nodes: 2 + seed as usize % 4,
            faults: FaultLevel::All,
            ..RunOptions::default()
        });
        crashes += report.counts.crashes;
        failed_writes += report.counts.failed_writes;
        let outcomes = report.history.operations.iter().map(|it| &it.outcome);
        done += outcomes.filter(|it| matches!(it, Outcome::Done(_))).count();
    }
    // Otherwise the runs would show nothing.
    assert!(
        crashes > 100 && failed_writes > 20,
        "{crashes}, {failed_writes}"
    );
    assert!(done > 50 * 200 / 2, "{done}");
}

#[test]
fn swarms_of_faults_converge() {
    for seed in 1000..1200 {
        run_replicas(&RunOptions {
            seed,
            nodes: 1 + seed as usize % 5,
            ..RunOptions::default()
        });
    }
}
