//! What goes wrong in a run, drawn from its seed.
//!
//! Each seed switches each kind of fault on or off and draws how strong it is (swarm testing: Groce
//! et al., ISSTA 2012). A run in which everything fails all the time never gets far enough to meet
//! the rarer bugs; many runs with different few faults do.

use crate::network::Weather;
use crate::rng::Rng;
use crate::{MS, SECOND};

/// The faults of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    /// How messages travel until the run is healed.
    pub weather: Weather,
    /// Wall clocks are wrong by up to this at the start.
    pub skew_ns_max: u64,
    /// Wall clocks run fast or slow by up to this many parts per million.
    pub drift_ppm_max: u64,
    /// Wall clocks are set wrong, by up to this; 0 for never.
    pub jump_ns_max: u64,
    /// Nodes crash and start again.
    pub crashes: bool,
    /// A crash may leave part of a write.
    pub torn_writes: bool,
    /// The network falls into two parts.
    pub partitions: bool,
    /// Single links carry one way only.
    pub one_way_cuts: bool,
    /// Disks become slow for a while.
    pub slow_disks: bool,
    /// Disks become full for a while.
    pub full_disks: bool,
    /// Mean time between two faults.
    pub interval_ns: u64,
}

/// No fault lasts longer than this before it is undone.
pub const FAULT_NS_MAX: u64 = 3 * SECOND;

/// One thing that goes wrong, or right again.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Fault {
    /// A node crashes and starts again after so many nanoseconds.
    Crash(usize, u64),
    /// The nodes of which bit `node` is set are cut off from the others.
    Partition(u64),
    /// Messages from the first to the second node are lost.
    CutOneWay(usize, usize),
    /// All links carry again.
    Join,
    /// A node's wall clock is set to the right time plus so many nanoseconds.
    SetClock(usize, i64),
    /// A node's disk takes so many times as long.
    SlowDisk(usize, u64),
    /// A node's disk is full, or has room again.
    FullDisk(usize, bool),
}

impl Faults {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Faults {
            weather: Weather::CALM,
            skew_ns_max: 0,
            drift_ppm_max: 0,
            jump_ns_max: 0,
            crashes: false,
            torn_writes: false,
            partitions: false,
            one_way_cuts: false,
            slow_disks: false,
            full_disks: false,
            interval_ns: SECOND,
        }
    }

    /// Everything goes wrong, in strengths drawn from the seed.
    pub fn all(rng: &mut Rng) -> Self {
        Faults {
            weather: Weather {
                delay_ns_min: rng.between(20_000, 5 * MS),
                jitter_ns_max: rng.between(MS / 10, 20 * MS),
                spike_permille: rng.between(1, 30),
                loss_permille: rng.between(1, 200),
                duplicate_permille: rng.between(1, 200),
            },
            skew_ns_max: rng.between(MS, 400 * MS),
            drift_ppm_max: rng.between(1, 500),
            jump_ns_max: rng.between(MS, 5 * SECOND),
            crashes: true,
            torn_writes: true,
            partitions: true,
            one_way_cuts: true,
            slow_disks: true,
            full_disks: true,
            interval_ns: rng.between(20 * MS, 800 * MS),
        }
    }

    /// Each kind of fault with a probability of one half, in strengths drawn from the seed.
    pub fn draw(rng: &mut Rng) -> Self {
        let mut faults = Faults::all(rng);
        let mut is_off = || rng.chance(500);
        let off = |permille: &mut u64, is_off: bool| {
            if is_off {
                *permille = 0;
            }
        };
        off(&mut faults.weather.spike_permille, is_off());
        off(&mut faults.weather.loss_permille, is_off());
        off(&mut faults.weather.duplicate_permille, is_off());
        off(&mut faults.skew_ns_max, is_off());
        off(&mut faults.drift_ppm_max, is_off());
        off(&mut faults.jump_ns_max, is_off());
        faults.crashes = !is_off();
        faults.torn_writes = !is_off();
        faults.partitions = !is_off();
        faults.one_way_cuts = !is_off();
        faults.slow_disks = !is_off();
        faults.full_disks = !is_off();
        faults
    }

    /// The next fault, and, where it does not end by itself, what undoes it and after how long.
    /// `None` if no kind is on that happens at a moment.
    pub fn next(&self, rng: &mut Rng, nodes: usize) -> Option<(Fault, Option<(u64, Fault)>)> {
        let kinds = [
            self.crashes,
            self.partitions && nodes > 1,
            self.one_way_cuts && nodes > 1,
            self.jump_ns_max > 0,
            self.slow_disks,
            self.full_disks,
        ];
        let on: Vec<usize> = (0..kinds.len()).filter(|&kind| kinds[kind]).collect();
        if on.is_empty() {
            return None;
        }
        let lasts_ns = rng.between(10 * MS, FAULT_NS_MAX);
        let node = rng.index(nodes);
        Some(match on[rng.index(on.len())] {
            0 => (Fault::Crash(node, lasts_ns), None),
            1 => {
                // Some on one side, some on the other: never all or none.
                let side = rng.between(1, (1 << nodes) - 2);
                (Fault::Partition(side), Some((lasts_ns, Fault::Join)))
            }
            2 => {
                let other = (node + 1 + rng.index(nodes - 1)) % nodes;
                let cut = Fault::CutOneWay(node, other);
                (cut, Some((lasts_ns, Fault::Join)))
            }
            3 => (Fault::SetClock(node, rng.around(self.jump_ns_max)), None),
            4 => {
                let slow = Fault::SlowDisk(node, rng.between(10, 1000));
                (slow, Some((lasts_ns, Fault::SlowDisk(node, 1))))
            }
            _ => {
                let room = Fault::FullDisk(node, false);
                (Fault::FullDisk(node, true), Some((lasts_ns, room)))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_differ_in_which_faults_are_on() {
        let drawn: Vec<Faults> = (0..200)
            .map(|seed| Faults::draw(&mut Rng::new(seed)))
            .collect();
        let crashes = drawn.iter().filter(|faults| faults.crashes).count();
        let losses = drawn.iter().filter(|f| f.weather.loss_permille > 0).count();
        assert!((60..140).contains(&crashes), "{crashes}");
        assert!((60..140).contains(&losses), "{losses}");
    }

    #[test]
    fn a_partition_always_has_two_sides() {
        let faults = Faults {
            partitions: true,
            ..Faults::none()
        };
        let mut rng = Rng::new(1);
        for nodes in 2..=5 {
            for _ in 0..200 {
                let Some((Fault::Partition(side), Some((_, Fault::Join)))) =
                    faults.next(&mut rng, nodes)
                else {
                    panic!("only partitions are on");
                };
                let size = side.count_ones() as usize;
                assert!(size > 0 && size < nodes);
            }
        }
    }

    #[test]
    fn without_faults_nothing_happens() {
        assert_eq!(Faults::none().next(&mut Rng::new(1), 3), None);
    }
}
