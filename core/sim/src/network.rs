//! The network between nodes: late, lossy, repeating itself, and cut in parts.
//!
//! Every message takes its own time, so messages overtake each other. A cut link loses what is sent
//! while it is cut; what was under way arrives. Clients' connections are not part of it.

use crate::rng::Rng;

/// How well messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    /// What every message takes at least, in nanoseconds.
    pub delay_ns_min: u64,
    /// Up to this much more, drawn for each message: the larger, the more they overtake.
    pub jitter_ns_max: u64,
    /// Of a thousand messages, how many take ten to a hundred times the jitter more.
    pub spike_permille: u64,
    /// Of a thousand messages, how many are lost.
    pub loss_permille: u64,
    /// Of a thousand messages, how many arrive twice.
    pub duplicate_permille: u64,
}

impl Weather {
    /// A quiet local network: 0.2 to 0.7 ms, nothing lost.
    pub const CALM: Weather = Weather {
        delay_ns_min: 200_000,
        jitter_ns_max: 500_000,
        spike_permille: 0,
        loss_permille: 0,
        duplicate_permille: 0,
    };
}

/// All links between `nodes` nodes.
#[derive(Clone, Debug)]
pub struct Network {
    nodes: usize,
    weather: Weather,
    /// `cut[from * nodes + to]`: nothing sent from `from` arrives at `to`.
    cut: Vec<bool>,
}

impl Network {
    /// A network in which every link works.
    pub fn new(nodes: usize, weather: Weather) -> Self {
        Network {
            nodes,
            weather,
            cut: vec![false; nodes * nodes],
        }
    }

    /// When the copies of a message sent at `at_ns` arrive: none if it is lost, two if it is
    /// repeated.
    pub fn arrivals(
        &self,
        rng: &mut Rng,
        at_ns: u64,
        from: usize,
        to: usize,
    ) -> impl Iterator<Item = u64> + use<> {
        let weather = &self.weather;
        let is_lost = rng.chance(weather.loss_permille) || self.is_cut(from, to);
        let is_twice = rng.chance(weather.duplicate_permille);
        let mut arrival = || {
            let jitter = rng.between(0, weather.jitter_ns_max);
            let spike = if rng.chance(weather.spike_permille) {
                weather.jitter_ns_max * rng.between(10, 100)
            } else {
                0
            };
            at_ns + weather.delay_ns_min + jitter + spike
        };
        let first = (!is_lost).then(&mut arrival);
        let second = (!is_lost && is_twice).then(&mut arrival);
        first.into_iter().chain(second)
    }

    /// Whether the link from `from` to `to` is cut.
    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cut[from * self.nodes + to]
    }

    /// Cuts one direction of a link.
    pub fn cut_one_way(&mut self, from: usize, to: usize) {
        self.cut[from * self.nodes + to] = true;
    }

    /// Cuts all links between those for which `side` says true and the others.
    pub fn partition(&mut self, side: impl Fn(usize) -> bool) {
        for from in 0..self.nodes {
            for to in 0..self.nodes {
                if side(from) != side(to) {
                    self.cut_one_way(from, to);
                }
            }
        }
    }

    /// Joins all links again; the weather stays.
    pub fn join(&mut self) {
        self.cut.fill(false);
    }

    /// The weather changes.
    pub fn set_weather(&mut self, weather: Weather) {
        self.weather = weather;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(network: &Network, from: usize, to: usize) -> usize {
        network.arrivals(&mut Rng::new(3), 0, from, to).count()
    }

    #[test]
    fn a_partition_cuts_both_ways_and_one_way_only_one() {
        let mut network = Network::new(3, Weather::CALM);
        network.partition(|node| node == 0);
        assert_eq!((count(&network, 0, 1), count(&network, 2, 0)), (0, 0));
        assert_eq!(count(&network, 1, 2), 1);
        network.join();
        network.cut_one_way(0, 1);
        assert_eq!((count(&network, 0, 1), count(&network, 1, 0)), (0, 1));
    }

    #[test]
    fn loss_and_repetition_follow_the_weather() {
        let weather = |loss, duplicate| Weather {
            loss_permille: loss,
            duplicate_permille: duplicate,
            ..Weather::CALM
        };
        assert_eq!(count(&Network::new(2, weather(1000, 1000)), 0, 1), 0);
        assert_eq!(count(&Network::new(2, weather(0, 1000)), 0, 1), 2);
        let stormy = Network::new(2, weather(300, 100));
        let mut rng = Rng::new(5);
        let arrived: usize = (0..10_000)
            .map(|_| stormy.arrivals(&mut rng, 0, 0, 1).count())
            .sum();
        assert!((7_300..8_100).contains(&arrived), "{arrived}");
    }
}
