//! One value out of its dots: the winner of the writes, then the modifiers in the order.
//!
//! A string, a hash's field and a sorted set's score are all read this way; a set's member is there
//! or not. The rule that it keeps: a value is a *left fold in the order*. So a prefix of the
//! modifiers can be folded into the stable base at any time without a change of the result, also
//! for those that do not commute (APPEND beside INCR), or only almost (sums that meet their bounds).

use smallvec::SmallVec;

use crate::effect::Scalar;
use crate::number::{Decimal, parse_i64};

use super::action::Action;
use super::owned::Owned;

/// The longest string that a modifier makes, in bytes: Redis's `proto-max-bulk-len`. A modifier
/// that would make a longer one is passed over.
pub(super) const STRING_BYTES_MAX: usize = 512 << 20;

/// What a string, a field or a member holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// A set's member: it is there.
    Member,
    /// A string's or a field's bytes.
    Bytes(Vec<u8>),
    /// The bytes of a canonical integer, not printed yet.
    Int(i64),
    /// A score, never NaN and never the negative zero.
    Score(f64),
}

impl Content {
    /// What a write carries.
    pub(super) fn of(value: Scalar<'_>) -> Option<Content> {
        Some(match value {
            Scalar::None => Content::Member,
            Scalar::Bytes(bytes) => Content::Bytes(bytes.to_vec()),
            Scalar::Int(int) => Content::Int(int),
            Scalar::Float(score) => Content::score(score)?,
        })
    }

    /// A score; `None` for NaN. The two zeros compare equal, and whether a sorted set keeps the old
    /// one or the new one would be history: both are the positive zero.
    pub fn score(score: f64) -> Option<Content> {
        (!score.is_nan()).then_some(Content::Score(score + 0.0))
    }

    /// The bytes of a string or field; empty for a member and a score, which have none.
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Content::Bytes(bytes) => bytes,
            Content::Int(int) => int.to_string().into_bytes(),
            Content::Member | Content::Score(_) => Vec::new(),
        }
    }

    fn integer(&self) -> Option<i64> {
        match self {
            Content::Int(int) => Some(*int),
            Content::Bytes(bytes) => parse_i64(bytes),
            Content::Member | Content::Score(_) => None,
        }
    }
}

impl PartialEq for Content {
    /// Bit equality; an integer equals its text.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Content::Member, Content::Member) => true,
            (Content::Score(a), Content::Score(b)) => a.to_bits() == b.to_bits(),
            (Content::Int(a), Content::Int(b)) => a == b,
            (Content::Bytes(a), Content::Bytes(b)) => a == b,
            (Content::Int(int), Content::Bytes(bytes))
            | (Content::Bytes(bytes), Content::Int(int)) => parse_i64(bytes) == Some(*int),
            _ => false,
        }
    }
}

/// A change that applies on top of whatever the item holds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Modifier<'a> {
    AddInt(i64),
    AddDecimal(Decimal),
    AddScore(f64),
    Append(&'a [u8]),
    /// Bytes over the string from an offset on; zeros fill a gap.
    Overwrite(usize, &'a [u8]),
    MaxInt(i64),
    MaxBytes(&'a [u8]),
    /// Written where nothing is there: the first in the order wins.
    First(Scalar<'a>),
}

impl Modifier<'_> {
    /// Applies it to `value`. One that does not fit (a delta to what is no number) is passed over:
    /// its author saw a value that it did fit.
    ///
    /// Sums of integers stop at the bounds of 64 bits. Each author's own sum was checked by its
    /// command; only concurrent ones can meet a bound together, and what stops there has the right
    /// sign and the least error that 64 bits can tell.
    pub fn apply(self, value: &mut Option<Content>) {
        let next = match (self, value.take()) {
            (Modifier::AddInt(delta), None) => Content::Int(delta),
            (Modifier::AddInt(delta), Some(now)) => match now.integer() {
                Some(int) => Content::Int(int.saturating_add(delta)),
                None => now,
            },
            (Modifier::AddDecimal(delta), None) => Content::Bytes(delta.to_string().into_bytes()),
            (Modifier::AddDecimal(delta), Some(now)) => match &now {
                Content::Bytes(bytes) => add_decimal(bytes, delta).unwrap_or(now),
                Content::Int(int) => add_decimal(int.to_string().as_bytes(), delta).unwrap_or(now),
                _ => now,
            },
            (Modifier::AddScore(delta), None) => Content::Score(delta + 0.0),
            (Modifier::AddScore(delta), Some(Content::Score(score))) => {
                // Infinities of both signs have no sum.
                Content::score(score + delta).unwrap_or(Content::Score(score))
            }
            (Modifier::Append(suffix), now) => splice(now, None, suffix),
            (Modifier::Overwrite(offset, bytes), now) => splice(now, Some(offset), bytes),
            (Modifier::MaxInt(int), None) => Content::Int(int),
            (Modifier::MaxInt(int), Some(now)) => match now.integer() {
                Some(other) => Content::Int(other.max(int)),
                None => now,
            },
            (Modifier::MaxBytes(bytes), now) => {
                let now = now.map_or_else(Vec::new, Content::into_bytes);
                Content::Bytes(if *now < *bytes { bytes.to_vec() } else { now })
            }
            (Modifier::First(first), None) => match Content::of(first) {
                Some(content) => content,
                None => return,
            },
            (Modifier::First(_) | Modifier::AddScore(_), Some(now)) => now,
        };
        *value = Some(next);
    }
}

fn add_decimal(current: &[u8], delta: Decimal) -> Option<Content> {
    let sum = Decimal::parse(current)?.checked_add(delta)?;
    Some(Content::Bytes(sum.to_string().into_bytes()))
}

/// Puts `bytes` over the string from `offset` on, or behind it.
fn splice(now: Option<Content>, offset: Option<usize>, bytes: &[u8]) -> Content {
    let mut text = now.map_or_else(Vec::new, Content::into_bytes);
    let offset = offset.unwrap_or(text.len());
    let end = offset + bytes.len();
    if end <= STRING_BYTES_MAX {
        if text.len() < end {
            text.resize(end, 0);
        }
        text[offset..end].copy_from_slice(bytes);
    }
    Content::Bytes(text)
}

/// What an item holds below its dots: the content, and the snapshot that wrote it. `None` for what
/// the base holds, which is lower in the order than every dot.
pub(super) type Ground<'a> = (Option<Content>, Option<&'a Owned>);

/// The value that `dots`, which are in the order, leave of one item: the greatest write, the
/// ground being one, then all modifiers. `None`: nothing is there.
pub(super) fn value_of<'d>(
    (ground, ground_dot): Ground<'_>,
    dots: impl Iterator<Item = &'d Owned>,
) -> Option<Content> {
    let actions: SmallVec<[_; 4]> = dots.map(|dot| (dot, action(dot))).collect();
    let written = (actions.iter().rev()).find_map(|(dot, action)| Some((dot, action.written()?)));
    let mut value = match written {
        Some((dot, _)) if ground.is_some() && ground_dot.is_some_and(|g| g.order(dot).is_gt()) => {
            ground
        }
        Some((_, content)) => Some(content),
        None => ground,
    };
    for (_, action) in &actions {
        if let Some(modifier) = action.modifier() {
            modifier.apply(&mut value);
        }
    }
    value
}

/// What a dot does. Only effects whose action is known become dots.
pub(super) fn action(dot: &Owned) -> Action<'_> {
    Action::of(&dot.payload()).expect("an effect is checked before it becomes a dot")
}

/// Whether a dot writes its item, and does not merely modify it.
pub(super) fn is_write(dot: &Owned) -> bool {
    action(dot).modifier().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fold(start: Option<&[u8]>, modifiers: &[Modifier<'_>]) -> Option<Vec<u8>> {
        let mut value = start.map(|bytes| Content::Bytes(bytes.to_vec()));
        modifiers.iter().for_each(|m| m.apply(&mut value));
        value.map(Content::into_bytes)
    }

    #[test]
    fn modifiers_apply_in_turn_and_pass_over_what_they_do_not_fit() {
        use Modifier::*;
        let decimal = |text: &str| AddDecimal(Decimal::parse(text.as_bytes()).unwrap());
        let check = |start: Option<&str>, modifiers: &[Modifier<'_>], want: &str| {
            let got = fold(start.map(str::as_bytes), modifiers).unwrap();
            assert_eq!(
                String::from_utf8_lossy(&got),
                want,
                "{start:?} {modifiers:?}"
            );
        };
        check(None, &[AddInt(2), AddInt(-5)], "-3");
        check(Some("7"), &[Append(b"1"), AddInt(1), Append(b"0")], "720");
        check(
            Some("text"),
            &[AddInt(1), decimal("1.5"), MaxInt(3)],
            "text",
        );
        check(Some("1"), &[decimal("0.25"), AddInt(1)], "1.25");
        check(Some("ab"), &[Overwrite(4, b"x")], "ab\0\0x");
        check(Some("9"), &[MaxInt(10), MaxInt(3)], "10");
        check(Some("b"), &[MaxBytes(b"a"), MaxBytes(b"c")], "c");
        check(
            None,
            &[First(Scalar::Bytes(b"1")), First(Scalar::Bytes(b"2"))],
            "1",
        );
    }

    #[test]
    fn sums_stop_at_the_bounds() {
        use Modifier::*;
        let max = i64::MAX.to_string();
        let got = fold(Some(max.as_bytes()), &[AddInt(1), AddInt(-1)]);
        assert_eq!(got, Some((i64::MAX - 1).to_string().into_bytes()));
        let mut value = Content::score(f64::INFINITY);
        AddScore(f64::NEG_INFINITY).apply(&mut value);
        assert_eq!(value, Content::score(f64::INFINITY));
    }

    #[test]
    fn there_is_one_zero() {
        assert_eq!(Content::score(-0.0), Content::score(0.0));
        assert_eq!(Content::Int(5), Content::Bytes(b"5".to_vec()));
        assert_ne!(Content::Int(5), Content::Bytes(b"05".to_vec()));
    }
}
