//! A folder of a mailbox, and the folders that every mailbox has.
//!
//! A well-known name (`inbox`) stands for the folder whatever its display name is, because that one is translated.

/// A folder's number within its mailbox; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FolderKey(pub(crate) u64);

/// The hidden root of the whole mailbox; the parent of `msgfolderroot` and of the recoverable items.
pub(crate) const ROOT: FolderKey = FolderKey(1);
/// The root of what people see (`msgfolderroot`).
pub(crate) const TOP: FolderKey = FolderKey(2);
/// The folder for mail that nobody has filed.
pub(crate) const INBOX: FolderKey = FolderKey(3);
/// Where a message created without a folder goes.
pub(crate) const DRAFTS: FolderKey = FolderKey(4);
/// Mail that the owner sent.
pub(crate) const SENT: FolderKey = FolderKey(5);
/// Where deleted messages go (`recoverableitemsdeletions`): outside of what `mailFolders` lists.
pub(crate) const RECOVERABLE: FolderKey = FolderKey(11);

/// One folder.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    pub(crate) key: FolderKey,
    pub(crate) parent: FolderKey,
    pub(crate) name: String,
    pub(crate) well_known: Option<&'static str>,
    pub(crate) hidden: bool,
    /// The mailbox's change number when this folder was made, renamed or moved.
    pub(crate) change: u64,
}

/// A row of [`BUILT_IN`].
struct BuiltIn {
    key: FolderKey,
    parent: FolderKey,
    well_known: Option<&'static str>,
    name: &'static str,
    hidden: bool,
}

const fn built_in(
    key: u64,
    parent: FolderKey,
    well_known: Option<&'static str>,
    name: &'static str,
    hidden: bool,
) -> BuiltIn {
    BuiltIn {
        key: FolderKey(key),
        parent,
        well_known,
        name,
        hidden,
    }
}

/// The folders of a new mailbox, with their English names.
const BUILT_IN: [BuiltIn; 14] = [
    built_in(1, ROOT, None, "Root", true),
    built_in(
        2,
        ROOT,
        Some("msgfolderroot"),
        "Top of Information Store",
        false,
    ),
    built_in(3, TOP, Some("inbox"), "Inbox", false),
    built_in(4, TOP, Some("drafts"), "Drafts", false),
    built_in(5, TOP, Some("sentitems"), "Sent Items", false),
    built_in(6, TOP, Some("deleteditems"), "Deleted Items", false),
    built_in(7, TOP, Some("junkemail"), "Junk Email", false),
    built_in(8, TOP, Some("archive"), "Archive", false),
    built_in(9, TOP, Some("outbox"), "Outbox", false),
    built_in(
        10,
        TOP,
        Some("conversationhistory"),
        "Conversation History",
        false,
    ),
    built_in(
        11,
        ROOT,
        Some("recoverableitemsdeletions"),
        "Deletions",
        false,
    ),
    built_in(12, TOP, Some("syncissues"), "Sync Issues", true),
    built_in(13, FolderKey(12), Some("conflicts"), "Conflicts", true),
    built_in(14, TOP, None, "Conversation Action Settings", true),
];

/// The first number that a folder made later gets.
pub(crate) const FIRST_FREE: u64 = 15;

/// The folders of a new mailbox, unchanged since its beginning.
pub(crate) fn initial() -> impl Iterator<Item = Folder> {
    BUILT_IN.iter().map(|row| Folder {
        key: row.key,
        parent: row.parent,
        name: row.name.to_owned(),
        well_known: row.well_known,
        hidden: row.hidden,
        change: row.key.0,
    })
}

/// The folder that a well-known name stands for. Names are compared without regard to case.
pub(crate) fn well_known(name: &str) -> Option<FolderKey> {
    BUILT_IN
        .iter()
        .find(|row| {
            row.well_known
                .is_some_and(|known| known.eq_ignore_ascii_case(name))
        })
        .map(|row| row.key)
}

/// A built-in folder by a name that is known to exist; the Inbox otherwise.
pub(crate) fn named(name: &str) -> FolderKey {
    well_known(name).unwrap_or(INBOX)
}
