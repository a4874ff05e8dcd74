//! One row of the table of directives, and the macro that declares a row and its field at once.
//!
//! Parsing, CONFIG GET, SET and REWRITE and `--help` all walk these rows and know no directive by
//! name. The rule it keeps: a directive is declared in one place, so that its field, default, limits
//! and documentation cannot drift apart.

use super::Config;
use super::kind::Reason;

/// When a directive may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// At the start and by CONFIG SET.
    Live,
    /// By CONFIG SET only for those whom `enable-protected-configs` lets.
    Protected,
    /// At the start only.
    AtStart,
    /// In the file or on the command line only; CONFIG GET does not show it.
    FileOnly,
}

/// Reads words into a directive's field; the flag says that an earlier line of the start set it.
type Setter = fn(&mut Config, &[Vec<u8>], bool) -> Result<(), Reason>;

/// A directive: what it is called, what it may be, and the way to its field.
pub struct Directive {
    /// Its name, in lower case.
    pub name: &'static str,
    /// Older names that mean the same; CONFIG GET lists them too.
    pub aliases: &'static [&'static str],
    /// When it may be given.
    pub change: Change,
    /// Whether the server acts on it; the others are accepted for compatibility and kept.
    pub has_effect: bool,
    /// One or more lines of documentation, as in the source.
    pub doc: &'static [&'static str],
    /// What is allowed, for errors and `--help`.
    pub allowed: fn() -> String,
    pub(super) takes_many: fn() -> bool,
    pub(super) set: Setter,
    pub(super) print: fn(&Config) -> Vec<u8>,
    pub(super) lines: fn(&Config, &Config) -> Vec<String>,
    pub(super) same: fn(&Config, &Config) -> bool,
    pub(super) copy: fn(&mut Config, &Config),
}

impl Directive {
    /// Every directive: first those that have an effect.
    pub fn all() -> impl Iterator<Item = &'static Directive> {
        super::table::DIRECTIVES
            .iter()
            .chain(super::accepted::DIRECTIVES)
    }

    /// The directive of that name or alias, in any case. O(directives), some 200.
    pub fn named(name: &[u8]) -> Option<&'static Directive> {
        Self::all().find(|directive| {
            directive
                .names()
                .any(|own| own.as_bytes().eq_ignore_ascii_case(name))
        })
    }

    /// Its name, then its aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// Its documentation as one line.
    pub fn doc_line(&self) -> String {
        self.doc
            .iter()
            .map(|line| line.trim())
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Reads the words of a line into the directive's field. A kind that takes many words also
    /// takes them as one, `--save "900 1"`.
    pub(super) fn read(
        &self,
        config: &mut Config,
        words: &[Vec<u8>],
        repeated: bool,
    ) -> Result<(), Reason> {
        match words {
            [] => Err("wrong number of arguments".into()),
            [list] if (self.takes_many)() && list.contains(&b' ') => {
                let words: Vec<_> = list
                    .split(|&byte| byte == b' ')
                    .filter(|word| !word.is_empty())
                    .map(<[u8]>::to_vec)
                    .collect();
                (self.set)(config, &words, repeated)
            }
            _ => (self.set)(config, words, repeated),
        }
    }
}

/// The place of a field: in `Config` itself (`[]`), or in one of its parts (`[part]`).
macro_rules! place {
    ($config:ident, [], $field:ident) => {
        $config.$field
    };
    ($config:ident, [$part:ident], $field:ident) => {
        $config.$part.$field
    };
}

/// Declares a struct of settings and the rows of its directives.
///
/// A row: documentation, `"name" | "alias" => field: type = default, kind, change;`.
macro_rules! directives {
    (
        $(#[$meta:meta])*
        pub struct $Settings:ident at $part:tt, has_effect: $has_effect:literal {
            $(
                $(#[doc = $doc:literal])+
                $name:literal $(| $alias:literal)* =>
                    $field:ident: $type:ty = $default:expr, $kind:expr, $change:ident;
            )+
        }
        $(with {
            $($(#[$extra_meta:meta])* $extra:ident: $extra_type:ty,)+
        })?
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $Settings {
            $($(#[doc = $doc])+ pub $field: $type,)+
            $($($(#[$extra_meta])* pub $extra: $extra_type,)+)?
        }

        impl Default for $Settings {
            fn default() -> Self {
                Self {
                    $($field: $default,)+
                    $($($extra: Default::default(),)+)?
                }
            }
        }

        pub(super) static DIRECTIVES: &[Directive] = &[$(Directive {
            name: $name,
            aliases: &[$($alias),*],
            change: Change::$change,
            has_effect: $has_effect,
            doc: &[$($doc),+],
            allowed: || Kind::<$type>::allowed(&$kind),
            takes_many: || Kind::<$type>::takes_many(&$kind),
            set: |config, words, repeated| {
                let field = &mut place!(config, $part, $field);
                *field = Kind::<$type>::parse(&$kind, words, field, repeated)?;
                Ok(())
            },
            print: |config| Kind::<$type>::print(&$kind, &place!(config, $part, $field)),
            lines: |config, default| Kind::<$type>::lines(
                &$kind,
                &place!(config, $part, $field),
                &place!(default, $part, $field),
            ),
            same: |left, right| place!(left, $part, $field) == place!(right, $part, $field),
            copy: |to, from| {
                place!(to, $part, $field).clone_from(&place!(from, $part, $field));
            },
        }),+];
    };
}

pub(super) use {directives, place};
