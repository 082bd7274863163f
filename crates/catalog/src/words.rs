//! Closed lists of words, as columns hold them.

/// An enum whose variants are words: of a column's CHECK, when it names the column.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident $(in $column:literal)? { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum $name { $($(#[$variant_doc])* $variant),* }

        impl $name {
            /// All of them, in the order in which they are told.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word, as the database and the interface to programs have it.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// The one with this word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }

            $(pub(crate) fn read(row: &sqlx::any::AnyRow) -> crate::Result<Self> {
                let word: String = sqlx::Row::get(row, $column);
                Self::from_word(&word).ok_or(crate::Error::Unreadable($column))
            })?
        }
    };
}

pub(crate) use words;
