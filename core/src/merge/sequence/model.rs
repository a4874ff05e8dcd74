//! The judge of the sequence: one Fugue tree of everything that ever was, without a base, written
//! straight from the definition, and replicas that act, receive and absorb at random moments.

use proptest::prelude::*;

use super::*;

type Key = (u8, usize);

fn element(node: u16, number: u64) -> ElementId {
    ElementId { node, number }
}

impl Base for Vec<ElementId> {
    fn first(&self) -> Option<ElementId> {
        <[ElementId]>::first(self).copied()
    }

    fn last(&self) -> Option<ElementId> {
        <[ElementId]>::last(self).copied()
    }

    fn before(&self, id: ElementId) -> Option<ElementId> {
        Some(self[self.position(id)?.checked_sub(1)?])
    }

    fn after(&self, id: ElementId) -> Option<ElementId> {
        self.get(self.position(id)? + 1).copied()
    }

    fn position(&self, id: ElementId) -> Option<usize> {
        self.iter().position(|&other| other == id)
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Insert(Place),
    Remove(ElementId),
    Clear,
}

/// One effect: what it does and the set of effects, by index as bits, that its author had seen.
#[derive(Debug, Clone)]
struct Event {
    kind: Kind,
    id: ElementId,
    key: Key,
    past: u128,
    /// In the tree of everything: the parent, none for the top, and the side.
    up: (Option<usize>, Side),
}

#[derive(Debug, Clone, Default)]
struct World {
    events: Vec<Event>,
}

fn has(set: u128, index: usize) -> bool {
    set >> index & 1 == 1
}

impl World {
    fn index_of(&self, id: ElementId) -> Option<usize> {
        self.events.iter().position(|event| event.id == id)
    }

    fn known(&self, set: u128) -> impl Iterator<Item = (usize, &Event)> {
        let all = self.events.iter().enumerate();
        all.filter(move |&(index, _)| has(set, index))
    }

    fn removes(&self, event: &Event, id: ElementId) -> bool {
        match event.kind {
            Kind::Insert(_) => false,
            Kind::Remove(removed) => removed == id,
            Kind::Clear => self.index_of(id).is_some_and(|at| has(event.past, at)),
        }
    }

    fn removed(&self, set: u128, id: ElementId) -> bool {
        self.known(set).any(|(_, event)| self.removes(event, id))
    }

    fn collect(&self, top: Option<usize>, out: &mut Vec<usize>) {
        let below = |side| {
            let all = self.events.iter().enumerate();
            let is = |&(_, event): &(usize, &Event)| {
                matches!(event.kind, Kind::Insert(_)) && event.up == (top, side)
            };
            let mut children: Vec<usize> = all.filter(is).map(|(index, _)| index).collect();
            children.sort_by_key(|&index| self.events[index].key);
            children
        };
        for child in below(Side::Left) {
            self.collect(Some(child), out);
        }
        out.extend(top);
        for child in below(Side::Right) {
            self.collect(Some(child), out);
        }
    }

    /// All insertions of `set` in the total order, removed ones too.
    fn order(&self, set: u128) -> Vec<usize> {
        let mut all = Vec::new();
        self.collect(None, &mut all);
        all.retain(|&index| has(set, index));
        all
    }

    fn visible(&self, set: u128) -> Vec<ElementId> {
        let order = self.order(set).into_iter().map(|at| self.events[at].id);
        order.filter(|&id| !self.removed(set, id)).collect()
    }

    /// Adds an effect and, for an insertion, its place in the tree of everything.
    fn add(&mut self, kind: Kind, id: ElementId, key: u8, past: u128) {
        let mut up = (None, Side::Right);
        if let Kind::Insert(place) = kind {
            let order = self.order(past);
            let shown = |at: &usize| !self.removed(past, self.events[*at].id);
            let find = |id| order.iter().position(|&at| self.events[at].id == id);
            let find = |id| find(id).filter(|&at| shown(&order[at]));
            let nearest = |end: usize| order[..end].iter().rposition(shown);
            let tail = || nearest(order.len());
            let origin = match place {
                Place::Head => None,
                Place::Tail => tail(),
                Place::After(id) => find(id).or_else(tail),
                Place::Before(id) => find(id).map_or_else(tail, nearest),
            };
            let parent = origin.map(|at| order[at]);
            let mut right = order.iter().map(|&at| self.events[at].up);
            up = (parent, Side::Right);
            if right.any(|other| other == up) {
                let next = origin.map_or(0, |at| at + 1);
                up = (Some(order[next]), Side::Left);
            }
        }
        let key = (key, self.events.len());
        self.events.push(Event {
            kind,
            id,
            key,
            past,
            up,
        });
    }
}

struct Seen<'a> {
    world: &'a World,
    past: u128,
    base: &'a [ElementId],
}

impl Past for Seen<'_> {
    fn holds(&self, id: ElementId) -> bool {
        let index = self.world.index_of(id);
        index.is_some_and(|index| has(self.past, index))
    }

    fn removed(&self, id: ElementId) -> bool {
        self.world.removed(self.past, id)
    }

    fn base_removed(&self) -> bool {
        self.world.known(self.past).any(|(_, event)| {
            let cleared = |&id: &ElementId| self.world.removes(event, id);
            matches!(event.kind, Kind::Clear) && self.base.iter().all(cleared)
        })
    }
}

#[derive(Debug, Clone, Default)]
struct Replica {
    known: u128,
    sequence: Sequence<Key>,
    base: Vec<ElementId>,
}

impl Replica {
    fn receive(&mut self, world: &World, index: usize) {
        let event = &world.events[index];
        assert_eq!(event.past & !self.known, 0, "delivery is causal");
        self.known |= 1 << index;
        let past = Seen {
            world,
            past: event.past,
            base: &self.base,
        };
        match event.kind {
            Kind::Insert(place) => {
                let (id, key) = (event.id, event.key);
                let mut named = self.sequence.clone();
                let sequence = &mut self.sequence;
                assert!(sequence.insert(id, key, place, &past, &self.base));
                assert!(!sequence.insert(id, key, place, &past, &self.base));
                if place == Place::Tail {
                    let last = world.visible(event.past).pop();
                    let place = last.map_or(Place::Head, Place::After);
                    assert!(named.insert(id, key, place, &past, &self.base));
                    assert!(named.placed().eq(self.sequence.placed()), "{place:?}");
                }
            }
            Kind::Remove(id) => {
                self.sequence.remove(id, &self.base);
            }
            Kind::Clear => {
                for (at, other) in world.known(event.past) {
                    if self.sequence.contains(other.id) {
                        assert!(has(event.past, at));
                        self.sequence.remove(other.id, &self.base);
                    }
                }
                self.sequence.cover_base();
            }
        }
    }

    /// Absorbs and forgets what is stable, but only of the effects in `chosen`.
    fn absorb(&mut self, world: &World, stable: u128, chosen: u128) {
        let stable = stable & chosen;
        let is_stable = |id| world.index_of(id).is_some_and(|at| has(stable, at));
        for (at, event) in world.known(stable) {
            let clears = matches!(event.kind, Kind::Clear);
            let all = |&id: &ElementId| world.removes(&world.events[at], id);
            if clears && self.sequence.base_covered && self.base.iter().all(all) {
                self.sequence.forget_base(&self.base);
                self.base.clear();
            }
        }
        let left = self.sequence.len();
        let mut taken = 0;
        for run in self.sequence.absorb(is_stable) {
            taken += run.ids.len();
            put(&mut self.base, run);
        }
        assert_eq!(self.sequence.len() + taken, left);
        for id in self.base.clone() {
            if self.sequence.covers(id) && world.removed(stable, id) {
                self.sequence.forget(id, &self.base);
                self.base.retain(|&other| other != id);
            }
        }
    }

    /// As if the process had ended and begun again.
    fn restart(&mut self) {
        let mut again = Sequence::new();
        for (id, &key, parent, removed) in self.sequence.placed() {
            assert!(again.restore(id, key, parent, removed));
            assert!(!again.restore(id, key, parent, removed));
        }
        for &id in &self.sequence.covered {
            assert!(again.remove(id, &self.base));
        }
        if self.sequence.base_covered {
            again.cover_base();
        }
        self.sequence = again;
    }

    fn check(&self, world: &World) -> Result<(), TestCaseError> {
        let expected = world.visible(self.known);
        let visible: Vec<ElementId> = self.sequence.visible(&self.base).collect();
        prop_assert_eq!(&visible, &expected);
        let mut edited = self.base.clone();
        for edit in self.sequence.edits(&self.base) {
            match edit {
                Edit::Clear => edited.clear(),
                Edit::Remove(id) => edited.retain(|&other| other != id),
                Edit::Insert(run) => put(&mut edited, run),
            }
        }
        prop_assert_eq!(&edited, &expected);
        for (at, &id) in visible.iter().enumerate() {
            if self.sequence.contains(id) {
                let before = at.checked_sub(1).map(|at| visible[at]);
                prop_assert_eq!(self.sequence.visible_before(id, &self.base), before);
            }
        }
        Ok(())
    }
}

fn put(list: &mut Vec<ElementId>, run: Run) {
    assert!(!run.ids.is_empty());
    let at = run.after.map_or(0, |id| list.position(id).unwrap() + 1);
    list.splice(at..at, run.ids);
}

/// What everything that can still arrive at `replica` observes: known to all, and nothing that it
/// does not know is concurrent with it.
fn stable_at(world: &World, replicas: &[Replica], replica: usize) -> u128 {
    let common = replicas.iter().fold(u128::MAX, |all, one| all & one.known);
    let late = !replicas[replica].known;
    world
        .known(late)
        .fold(common, |stable, (_, event)| stable & event.past)
}

type Step = (u8, usize, u16, u8, u128);

fn steps(count: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = (
        0u8..26,
        any::<usize>(),
        any::<u16>(),
        any::<u8>(),
        any::<u128>(),
    );
    prop::collection::vec(step, 1..count)
}

fn place_of(what: u8, at: u16, seen: &[ElementId], world: &World) -> Place {
    // Now and then anything at all, as from a damaged or hostile node.
    let any = world.events.get(usize::from(at) % (world.events.len() + 1));
    let honest = (!seen.is_empty()).then(|| seen[usize::from(at) % seen.len().max(1)]);
    let reference = match at % 16 {
        0 => any.map(|event| event.id),
        _ => honest,
    };
    match (what, reference) {
        (0 | 1, _) => Place::Head,
        (4..=6, Some(id)) => Place::Before(id),
        (7..=9, Some(id)) => Place::After(id),
        _ => Place::Tail,
    }
}

fn run(count: usize, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut world = World::default();
    let mut replicas = vec![Replica::default(); count];
    for (what, who, at, key, chosen) in steps {
        let who = who % count;
        if what < 14 && world.events.len() < 128 {
            let number = world.events.len() as u64;
            let id = element(who as u16, number);
            let known = replicas[who].known;
            let seen = world.visible(known);
            let kind = match what {
                0..=9 => Kind::Insert(place_of(what, at, &seen, &world)),
                13 if at % 16 == 0 => Kind::Clear,
                _ if seen.is_empty() => continue,
                _ => Kind::Remove(seen[usize::from(at) % seen.len()]),
            };
            world.add(kind, id, key, known);
            replicas[who].receive(&world, number as usize);
        } else if what < 22 {
            // A burst from one author, or single effects of anybody.
            for _ in 0..usize::from(at % 8) {
                let known = replicas[who].known;
                let ready = world
                    .known(!known)
                    .filter(|(_, event)| event.past & !known == 0);
                let ready: Vec<usize> = ready.map(|(index, _)| index).collect();
                if let Some(&index) = ready.get(usize::from(key) % ready.len().max(1)) {
                    replicas[who].receive(&world, index);
                    replicas[who].check(&world)?;
                }
            }
        } else if what < 25 {
            let stable = stable_at(&world, &replicas, who);
            let chosen = if at % 2 == 0 { u128::MAX } else { chosen };
            replicas[who].absorb(&world, stable, chosen);
        } else {
            replicas[who].restart();
        }
        replicas[who].check(&world)?;
    }
    for replica in &mut replicas {
        for index in 0..world.events.len() {
            if !has(replica.known, index) {
                replica.receive(&world, index);
            }
        }
        replica.check(&world)?;
    }
    let visible = world.visible(u128::MAX);
    for mut replica in replicas {
        replica.absorb(&world, u128::MAX, u128::MAX);
        replica.check(&world)?;
        prop_assert!(replica.sequence.is_empty());
        prop_assert_eq!(&replica.base, &visible);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn replicas_that_absorb_at_any_moment_agree_with_one_tree_of_everything(
        count in 2usize..5,
        steps in steps(160),
    ) {
        run(count, steps)?;
    }
}

/// The past of one of two authors who share the base and see nothing of each other.
struct Own(u16);

impl Past for Own {
    fn holds(&self, id: ElementId) -> bool {
        id.node == self.0
    }

    fn removed(&self, _: ElementId) -> bool {
        false
    }
}

proptest! {
    #[test]
    fn two_concurrent_runs_in_one_gap_stand_one_behind_the_other(
        base in 0u64..5,
        gap in any::<usize>(),
        runs in prop::array::uniform2(
            prop::collection::vec((0u8..4, any::<usize>(), any::<u8>()), 1..40)
        ),
    ) {
        let base: Vec<ElementId> = (0..base).map(|number| element(9, number)).collect();
        let gap = gap % (base.len() + 1);
        let place = |what, at: usize, who, len: usize| {
            let own = element(who, at.checked_rem(len).unwrap_or(0) as u64);
            let left = gap.checked_sub(1).map(|at| base[at]);
            match (what, base.get(gap)) {
                (0, _) if len > 0 => Place::Before(own),
                (1, _) if len > 0 => Place::After(own),
                (0 | 2, _) => left.map_or(Place::Head, Place::After),
                (_, None) => Place::Tail,
                (_, Some(&right)) => Place::Before(right),
            }
        };
        let orders = [[0u16, 1], [1, 0]].map(|authors| {
            let mut sequence = Sequence::new();
            for who in authors {
                for (number, &(what, at, key)) in runs[usize::from(who)].iter().enumerate() {
                    let place = place(what, at, who, number);
                    let key = (key, who, number);
                    sequence.insert(element(who, number as u64), key, place, &Own(who), &base);
                }
            }
            sequence.visible(&base).collect::<Vec<_>>()
        });
        prop_assert_eq!(&orders[0], &orders[1]);
        prop_assert_eq!(orders[0].len(), base.len() + runs[0].len() + runs[1].len());
        let authors: Vec<u16> = orders[0].iter().map(|id| id.node).collect();
        let changes = authors.windows(2).filter(|pair| pair[0] != pair[1]).count();
        prop_assert!(changes <= 3, "{authors:?}");
    }
}

#[test]
fn a_long_run_at_either_end_is_neither_recursion_nor_a_walk() {
    let base: Vec<ElementId> = (0..10).map(|number| element(9, number)).collect();
    let mut sequence = Sequence::new();
    let count = 200_000;
    for number in 0..count {
        for (who, place) in [(0, Place::Head), (1, Place::Tail)] {
            sequence.insert(element(who, number), (number, who), place, &Own(who), &base);
        }
    }
    // Beside each run one that saw none of it, which parts it at the top, and one in its middle.
    for (who, place) in [(2, Place::Head), (2, Place::Tail)] {
        let number = count + u64::from(place == Place::Tail);
        sequence.insert(element(who, number), (number, who), place, &Own(who), &base);
    }
    assert!(sequence.remove(element(0, 77), &base));
    assert_eq!(sequence.visible(&base).count() as u64, 2 * count + 11);
    let absorbed = sequence.absorb(|id| id.number < count / 2);
    let sizes: Vec<usize> = absorbed.iter().map(|run| run.ids.len()).collect();
    assert_eq!(sizes, [count as usize / 2; 2]);
    assert_eq!(sequence.len() as u64, count + 2);
}

#[test]
fn a_list_tells_neighbours_by_id() {
    let limits = crate::value::Limits {
        list_max_listpack_size: 3,
        ..Default::default()
    };
    let ids: Vec<ElementId> = (0..20)
        .map(|number| element(number % 2, u64::from(number)))
        .collect();
    let mut list = crate::value::List::new(0);
    for &id in &ids {
        list.push_tail(b"value", id, &limits);
    }
    assert_eq!(
        (Base::first(&list), Base::last(&list)),
        (Some(ids[0]), Some(ids[19]))
    );
    for &id in ids.iter().chain([&element(7, 7)]) {
        assert_eq!(list.before(id), ids.before(id));
        assert_eq!(list.after(id), ids.after(id));
        assert_eq!(list.position(id), ids.position(id));
    }
}
