//! Switches between readings of Exchange's behaviour that Microsoft's documents leave open, and pages made awkward for a client.

/// Each field is a doubt: the default is the reading that is harder on a client, or the better supported one.
#[derive(Clone, Debug, Default)]
pub struct MailBehaviour {
    /// The delta of folders also reports hidden ones.
    pub hidden_folders_in_delta: bool,
    /// A message that was deleted can still be asked for by its immutable id, with the recoverable items as its parent, as long as
    /// it can be recovered. Otherwise it is found only by way of that folder.
    pub deleted_by_id: bool,
    /// An immutable id is understood also in a request that does not prefer immutable ids. Otherwise it is not found.
    pub immutable_ids_always: bool,
    /// Before each page of a delta that holds something comes an empty one with a `nextLink`.
    pub empty_delta_pages: bool,
}
