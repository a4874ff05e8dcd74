//! The judge of the property tests: merging straight from its definition, in O(n^2) and more.
//!
//! It shares no code with what it judges but the effect, the number formats and the state. It knows
//! no base, no branches and no version vectors: an effect's past is a set of indices.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::effect::{Collection, Data, Merge, Meta, Op, Payload, Placement, Scalar, TypeTag};
use crate::id::compute_fork_choice_hash;
use crate::number::{Decimal, parse_i64};
use crate::value::HashSeed;

use super::owned::Owned;
use super::state::{Name, Score, State, Value};

/// An effect and the indices of those that it observed.
#[derive(Clone, Debug)]
pub struct Fact {
    pub effect: Owned,
    pub past: BTreeSet<usize>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Item {
    Scalar,
    Expiry,
    Element(TypeTag, Name),
    /// The state that a snapshot wrote, as a whole.
    Whole,
}

fn item_of(data: &Data<'_>) -> Item {
    match data.collection {
        Collection::Keyed => Item::Element(data.type_tag, data.element.into()),
        _ => Item::Scalar,
    }
}

fn is_whole_insert(data: &Data<'_>) -> bool {
    data.op == Op::Insert && data.merge == Merge::LastWriteWins && data.placement == Placement::None
}

fn is_string(payload: &Payload<'_>) -> bool {
    match payload {
        Payload::Snapshot(snapshot) => snapshot.type_tag == TypeTag::String,
        Payload::Data(data) => data.collection == Collection::Scalar,
        _ => false,
    }
}

fn writes(payload: &Payload<'_>, item: &Item) -> bool {
    match payload {
        Payload::Data(data) if data.op == Op::Insert => {
            let expires = *item == Item::Expiry && data.expires_ms.is_some();
            item_of(data) == *item || expires
        }
        Payload::Meta(_) => *item == Item::Expiry,
        Payload::Snapshot(snapshot) => match item {
            Item::Scalar => is_string(payload),
            Item::Whole => !is_string(payload),
            Item::Expiry => snapshot.expires_ms.is_some(),
            Item::Element(..) => false,
        },
        _ => false,
    }
}

fn covers(payload: &Payload<'_>, item: &Item) -> bool {
    match payload {
        Payload::Data(data) => match (data.collection, data.op) {
            (Collection::Scalar, Op::Remove) => true,
            (Collection::Scalar, Op::Insert) => is_whole_insert(data),
            (_, Op::Remove) => item_of(data) == *item,
            (_, Op::Insert) => item_of(data) == *item && is_whole_insert(data),
        },
        Payload::Meta(_) => *item == Item::Expiry,
        Payload::Snapshot(_) | Payload::Flush => true,
        _ => false,
    }
}

fn order(a: &Owned, b: &Owned) -> Ordering {
    let hash = |e: &Owned| compute_fork_choice_hash(e.at().node, e.hlc());
    (a.hlc().cmp(&b.hlc()))
        .then_with(|| hash(b).cmp(&hash(a)))
        .then_with(|| a.at().cmp(&b.at()))
}

/// The state that those of `facts` whose index is in `set` make.
pub fn state_of(facts: &[Fact], set: &BTreeSet<usize>) -> State {
    let covered_for = |index: usize, item: &Item| {
        set.iter().any(|&other| {
            facts[other].past.contains(&index) && covers(&facts[other].effect.payload(), item)
        })
    };
    let dots = |item: &Item| -> Vec<usize> {
        let mut dots: Vec<usize> = (set.iter().copied())
            .filter(|&index| writes(&facts[index].effect.payload(), item))
            .filter(|&index| !covered_for(index, item))
            .collect();
        dots.sort_by(|&a, &b| order(&facts[a].effect, &facts[b].effect));
        dots
    };
    let payload = |index: usize| facts[index].effect.payload();
    let scalar = dots(&Item::Scalar);
    let wholes = dots(&Item::Whole);
    let mut items = BTreeSet::new();
    let mut greatest: Vec<(usize, TypeTag)> = Vec::new();
    for &index in set {
        match payload(index) {
            Payload::Data(data) if data.collection == Collection::Keyed => {
                let item = item_of(&data);
                greatest.extend(dots(&item).into_iter().map(|dot| (dot, data.type_tag)));
                items.insert((data.type_tag, Name::from(data.element)));
            }
            Payload::Snapshot(snapshot) if wholes.contains(&index) => {
                greatest.push((index, snapshot.type_tag));
            }
            _ => {}
        }
    }
    greatest.sort_by(|(a, _), (b, _)| order(&facts[*a].effect, &facts[*b].effect));
    let is_set = |index: &&usize| match payload(**index) {
        Payload::Data(data) => is_whole_insert(&data),
        _ => true,
    };
    let deciding = scalar.iter().rev().find(is_set).or(wholes.last());
    let mut expires_ms = None;
    let mut persists = false;
    for index in dots(&Item::Expiry) {
        let own = match payload(index) {
            Payload::Meta(Meta::ExpireAt(at_ms)) => Some(at_ms),
            Payload::Meta(Meta::Persist) => {
                persists = true;
                None
            }
            Payload::Data(data) if deciding == Some(&index) => data.expires_ms,
            Payload::Snapshot(snapshot) if deciding == Some(&index) => snapshot.expires_ms,
            _ => None,
        };
        expires_ms = expires_ms.max(own);
    }
    if persists {
        expires_ms = None;
    }
    let value = if !scalar.is_empty() {
        let start = scalar.iter().rev().find(is_set);
        let mut value = start.map(|&index| match payload(index) {
            Payload::Data(data) => text(data.value),
            Payload::Snapshot(snapshot) => snapshot.state.to_vec(),
            _ => unreachable!("no other payload writes a scalar"),
        });
        for &index in &scalar {
            if let Payload::Data(data) = payload(index)
                && !is_whole_insert(&data)
            {
                value = Some(modified(value, &data));
            }
        }
        value.map(Value::String)
    } else if let Some(&(_, type_tag)) = greatest.last() {
        let ground = wholes.iter().rev().find_map(|&index| match payload(index) {
            Payload::Snapshot(snapshot) if snapshot.type_tag == type_tag => {
                let state = State::of_snapshot(&snapshot, HashSeed(1)).unwrap();
                Some((index, state.value))
            }
            _ => None,
        });
        let mut elements: BTreeMap<Name, Element> = BTreeMap::new();
        if let Some((whole, Some(value))) = &ground {
            for name in names(value) {
                if !covered_for(*whole, &Item::Element(type_tag, name.clone())) {
                    elements.insert(name.clone(), Element::of(value, &name));
                }
            }
        }
        for (_, name) in items.into_iter().filter(|(tag, _)| *tag == type_tag) {
            let dots = dots(&Item::Element(type_tag, name.clone()));
            let mut element = elements.remove(&name);
            let mut last = ground.as_ref().map(|(whole, _)| *whole);
            let is_after =
                |a: usize, b: usize| order(&facts[a].effect, &facts[b].effect) == Ordering::Greater;
            for &dot in &dots {
                if let Payload::Data(data) = payload(dot)
                    && is_whole_insert(&data)
                    && (element.is_none() || last.is_none_or(|last| is_after(dot, last)))
                {
                    element = Some(Element::written(&data));
                    last = Some(dot);
                }
            }
            for &dot in &dots {
                if let Payload::Data(data) = payload(dot)
                    && !is_whole_insert(&data)
                {
                    element = Some(Element::modified(element, &data));
                }
            }
            if let Some(element) = element {
                elements.insert(name, element);
            }
        }
        collection(type_tag, elements)
    } else {
        None
    };
    State { value, expires_ms }.visible()
}

#[derive(Clone, Debug)]
enum Element {
    Member,
    Field(Vec<u8>),
    Score(f64),
}

impl Element {
    fn of(value: &Value, name: &Name) -> Element {
        match value {
            Value::Hash(fields) => Element::Field(fields[name].to_vec()),
            Value::SortedSet(members) => Element::Score(members[name].get()),
            _ => Element::Member,
        }
    }

    fn written(data: &Data<'_>) -> Element {
        match data.value {
            Scalar::Float(score) => Element::Score(score + 0.0),
            Scalar::Bytes(bytes) => Element::Field(bytes.to_vec()),
            _ => Element::Member,
        }
    }

    fn modified(element: Option<Element>, data: &Data<'_>) -> Element {
        match (element, data.value) {
            (None, Scalar::Float(delta)) => Element::Score(delta + 0.0),
            (Some(Element::Score(score)), Scalar::Float(delta)) => {
                let sum = score + delta;
                let is_kept = data.merge == Merge::FirstWriteWins || sum.is_nan();
                Element::Score(if is_kept { score } else { sum + 0.0 })
            }
            (None, _) => Element::Field(modified(None, data)),
            (Some(Element::Field(bytes)), _) => Element::Field(modified(Some(bytes), data)),
            (Some(other), _) => other,
        }
    }
}

fn names(value: &Value) -> Vec<Name> {
    match value {
        Value::Set(members) => members.iter().cloned().collect(),
        Value::Hash(fields) => fields.keys().cloned().collect(),
        Value::SortedSet(members) => members.keys().cloned().collect(),
        Value::String(_) | Value::List(_) => Vec::new(),
    }
}

fn collection(type_tag: TypeTag, elements: BTreeMap<Name, Element>) -> Option<Value> {
    if elements.is_empty() {
        return None;
    }
    let named = elements.into_iter();
    Some(match type_tag {
        TypeTag::Hash => Value::Hash(
            named
                .map(|(name, element)| match element {
                    Element::Field(bytes) => (name, bytes.into()),
                    _ => (name, Box::default()),
                })
                .collect(),
        ),
        TypeTag::SortedSet => Value::SortedSet(
            named
                .map(|(name, element)| match element {
                    Element::Score(score) => (name, Score::new(score)),
                    _ => (name, Score::new(0.0)),
                })
                .collect(),
        ),
        _ => Value::Set(named.map(|(name, _)| name).collect()),
    })
}

fn text(value: Scalar<'_>) -> Vec<u8> {
    match value {
        Scalar::Bytes(bytes) => bytes.to_vec(),
        Scalar::Int(int) => int.to_string().into_bytes(),
        Scalar::None | Scalar::Float(_) => Vec::new(),
    }
}

/// A string or field after one modifier.
fn modified(value: Option<Vec<u8>>, data: &Data<'_>) -> Vec<u8> {
    match (data.placement, data.merge, data.value) {
        (Placement::Tail, _, Scalar::Bytes(suffix)) => {
            [&*value.unwrap_or_default(), suffix].concat()
        }
        (Placement::Itself, _, Scalar::Bytes(bytes)) => {
            let mut text = value.unwrap_or_default();
            let offset = data.reference.0 as usize;
            text.resize(text.len().max(offset + bytes.len()), 0);
            text.splice(offset..offset + bytes.len(), bytes.iter().copied());
            text
        }
        (_, Merge::AddInt, Scalar::Int(delta)) => match value {
            None => delta.to_string().into_bytes(),
            Some(text) => match parse_i64(&text) {
                Some(int) => int.saturating_add(delta).to_string().into_bytes(),
                None => text,
            },
        },
        (_, Merge::AddFloat, Scalar::Bytes(delta)) => {
            let current = value.clone().unwrap_or_else(|| b"0".to_vec());
            let sum = Decimal::parse(&current).and_then(|current| {
                current.checked_add(Decimal::parse(delta).expect("deltas are numbers"))
            });
            sum.map_or(current, |sum| sum.to_string().into_bytes())
        }
        (_, Merge::MaxInt, Scalar::Int(int)) => match value {
            None => int.to_string().into_bytes(),
            Some(text) => match parse_i64(&text) {
                Some(other) => int.max(other).to_string().into_bytes(),
                None => text,
            },
        },
        (_, Merge::MaxBytes, Scalar::Bytes(bytes)) => value.unwrap_or_default().max(bytes.to_vec()),
        (_, Merge::FirstWriteWins, Scalar::Bytes(bytes)) => value.unwrap_or(bytes.to_vec()),
        _ => unreachable!("the tests make no other modifiers"),
    }
}
