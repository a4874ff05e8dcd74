//! The horizon: binds that are known and not decided, and the effects that nobody may see yet.
//!
//! It is what a reader asks; it decides nothing. The rule it keeps: the effects of a transaction
//! leave it all at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bind::Bind;
use super::rules::Rules;
use crate::id::EffectRef;

/// The longest time until a voter asks what became of a bind, in microseconds.
pub const HORIZON_US_MAX: u64 = 500_000;
/// The shortest, in microseconds: below it a busy disk's flush would look like a lost message.
pub const HORIZON_US_MIN: u64 = 2_000;

/// How long a bind may be undecided before asking, for a worst measured round trip of
/// `round_trip_us`: the bind's own round trip, the decision's way and a flush on each side fit
/// twice. Without a measurement, the ceiling.
pub fn horizon_us(round_trip_us: Option<u64>) -> u64 {
    round_trip_us.map_or(HORIZON_US_MAX, |us| {
        us.saturating_mul(4).clamp(HORIZON_US_MIN, HORIZON_US_MAX)
    })
}

/// The undecided binds of a node and their effects.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct HorizonSet {
    binds: BTreeMap<EffectRef, Arc<Bind>>,
    /// Each invisible effect, and the bind that will show it.
    effects: BTreeMap<EffectRef, EffectRef>,
}

impl HorizonSet {
    /// A bind came to be known: its effects are invisible. O(parts log n).
    pub fn add(&mut self, bind: Arc<Bind>) {
        for part in bind.parts() {
            self.effects.insert(part.tip, bind.id());
        }
        self.effects.insert(bind.id(), bind.id());
        self.binds.insert(bind.id(), bind);
    }

    /// Whether an effect is to be left out of every read. O(log n); false for what was never in a
    /// bind, and for what was dropped.
    pub fn is_invisible(&self, effect: EffectRef) -> bool {
        self.effects.contains_key(&effect)
    }

    /// The bind was decided: all its effects leave the horizon, to be seen or to be dropped.
    /// Whether it was there.
    pub fn make_visible(&mut self, bind: &Bind) -> bool {
        for part in bind.parts() {
            self.effects.remove(&part.tip);
        }
        self.effects.remove(&bind.id());
        self.binds.remove(&bind.id()).is_some()
    }

    /// The binds, by ref.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Bind>> {
        self.binds.values()
    }

    /// The undecided binds in groups: two are in one group if they compete, or both with a third.
    /// Of a group without a decision, whoever asks for one asks for all. O(n^2).
    pub fn groups(&self, rules: Rules) -> Vec<Vec<Arc<Bind>>> {
        let mut groups: Vec<Vec<Arc<Bind>>> = Vec::new();
        for bind in self.binds.values() {
            let (joined, apart): (Vec<_>, Vec<_>) = groups
                .into_iter()
                .partition(|g| g.iter().any(|other| other.competes(bind, rules)));
            groups = apart;
            let mut group: Vec<_> = joined.into_iter().flatten().collect();
            group.push(Arc::clone(bind));
            group.sort_unstable();
            groups.push(group);
        }
        groups.sort_unstable();
        groups
    }

    /// How many binds are undecided.
    pub fn len(&self) -> usize {
        self.binds.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.binds.is_empty()
    }

    /// Forgets all of it, and answers what was there: the node closes, and nothing here was
    /// visible. Recovery builds it again from the records.
    pub fn stop_all(&mut self) -> Vec<Arc<Bind>> {
        self.effects.clear();
        std::mem::take(&mut self.binds).into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hlc::Hlc;
    use crate::id::{NodeId, Offset};
    use crate::tip::TipSet;
    use crate::transaction::bind::{Kind, Observed, Part};

    /// A bind of `node` that overwrites `keys`.
    fn bind(node: u64, keys: &[&str]) -> Arc<Bind> {
        let at = |counter| EffectRef {
            node: NodeId(node),
            offset: Offset::new(0, counter),
        };
        let parts = keys.iter().zip(1..).map(|(key, counter)| Part {
            db: 0,
            key: key.as_bytes().into(),
            kind: Kind::Overwrite,
            consumed: TipSet::default(),
            observed: Observed::default(),
            tip: at(counter),
        });
        Arc::new(Bind::new(at(9), Hlc(1), parts.collect()))
    }

    #[test]
    fn all_effects_of_a_transaction_leave_together() {
        let mut horizon = HorizonSet::default();
        let (a, b) = (bind(1, &["x", "y"]), bind(2, &["y"]));
        horizon.add(a.clone());
        horizon.add(b.clone());
        assert!(a.parts().iter().all(|p| horizon.is_invisible(p.tip)));
        assert!(horizon.make_visible(&a) && !horizon.make_visible(&a));
        assert!(!a.parts().iter().any(|p| horizon.is_invisible(p.tip)));
        assert!(horizon.is_invisible(b.parts()[0].tip));
        assert_eq!(horizon.stop_all(), [b]);
        assert!(horizon.is_empty());
    }

    #[test]
    fn competitors_of_competitors_are_one_group() {
        let mut horizon = HorizonSet::default();
        let binds = [
            bind(1, &["x"]),
            bind(2, &["y"]),
            bind(3, &["z"]),
            bind(4, &["x", "y"]),
        ];
        binds.iter().for_each(|b| horizon.add(b.clone()));
        let [x, y, z, xy] = binds;
        assert_eq!(
            horizon.groups(Rules::default()),
            vec![vec![x, y, xy], vec![z]]
        );
    }

    #[test]
    fn the_horizon_follows_the_round_trip_up_to_its_ceiling() {
        assert_eq!(horizon_us(None), HORIZON_US_MAX);
        assert_eq!(horizon_us(Some(10)), HORIZON_US_MIN);
        assert_eq!(horizon_us(Some(30_000)), 120_000);
        assert_eq!(horizon_us(Some(u64::MAX)), HORIZON_US_MAX);
    }
}
