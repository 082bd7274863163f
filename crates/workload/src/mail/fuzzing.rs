//! What must hold for every input of the decoders of mail; see [`crate::fuzzing`].

use bytes::Bytes;
use model::{AccountId, ItemId, RestoreId};
use repository::name;
use serde_json::value::RawValue;

use super::{
    compose::{self, Manner, Marks, Source},
    json::{Fields, Headline, only_marks_differ},
    layout::{self, IdHash},
    outline::{Outline, Outliner},
    state::{AccountRecord, Folders, Ledger, decode_folder, decode_shard, encode_shard},
};

/// What Graph takes in one request.
const REQUEST_BYTES_MAX: usize = 4_000_000;

pub(crate) fn items(bytes: &[u8]) {
    let Ok(entries) = decode_shard(bytes) else {
        return;
    };
    assert_eq!(encode_shard(&entries), bytes);
    assert!(entries.is_sorted_by(|a, b| a.0 < b.0));
    for (hash, _) in &entries {
        assert!((0..32).all(|depth| hash.digit(depth) < 16));
    }
}

pub(crate) fn records(json: &[u8]) {
    if let Ok(record) = decode_folder(json) {
        let written = serde_json::to_vec(&record).expect("a record can be written");
        let read = decode_folder(&written).expect("it was just written");
        let again = serde_json::to_vec(&read).expect("a record can be written");
        assert_eq!(again, written);
        // Alone it has a path only if it is the root; and its months are found by their numbers.
        let months = record.months.clone();
        let id = record.id.clone();
        let is_root = record.parent.is_none();
        let folders = Folders::from_records([record]);
        assert_eq!(folders.is_ok(), is_root);
        for month in months.iter().filter(|_| is_root) {
            let found = folders
                .as_ref()
                .ok()
                .and_then(|all| all.directory(month.number));
            assert!(found.is_some_and(|(folder, _)| folder.id == id));
        }
    }
    if let Ok(ledger) = Ledger::decode(json) {
        let written = ledger.encode().expect("a ledger can be written");
        let read = Ledger::decode(&written).expect("it was just written");
        assert!(ledger.failures().eq(read.failures()));
        assert!(ledger.skips().eq(read.skips()));
    }
    if let Ok(record) = serde_json::from_slice::<AccountRecord>(json) {
        let written = serde_json::to_vec(&record).expect("a record can be written");
        let read: AccountRecord = serde_json::from_slice(&written).expect("it was just written");
        assert_eq!(read, record);
    }
}

pub(crate) fn message(raw: &RawValue) {
    let Ok(fields) = Fields::of(raw) else {
        return;
    };
    assert!(only_marks_differ(raw, raw));
    let Some(headline) = Headline::of(&fields) else {
        return;
    };
    let hash = IdHash::of(&headline.id);
    let stem = layout::message_name(headline.received, &headline.subject, &hash);
    for extension in [".eml", ".json", ".att.json"] {
        let name = format!("{stem}{extension}");
        assert!(name::is_plain(&name), "{name:?}");
        assert_eq!(layout::suffix_of(&name), Some(hash.suffix().as_str()));
        assert_eq!(layout::stem_of(&name), stem);
    }
    let month = layout::month_directory(&layout::month(headline.received), 0);
    let folder = layout::folder_name(&headline.subject, &headline.parent);
    assert!(name::is_plain(&month) && name::is_plain(&folder));
    assert_ne!(month, folder);
}

pub(crate) fn compose(mime: &Bytes) {
    let mut outliner = Outliner::default();
    mime.chunks(1 << 10).for_each(|part| outliner.push(part));
    let outline = outliner.finish();
    let all = outline.raw(0..outline.held_bytes());
    assert_eq!(all.size_bytes(), mime.len() as u64);
    for mime in [outline, Outline::from(mime.clone())] {
        compose_outline(&mime);
    }
}

fn compose_outline(mime: &Outline) {
    let json = RawValue::from_string(r#"{"id":"a","subject":"s"}"#.to_owned()).expect("it is JSON");
    let (Ok(restore), Ok(account), Ok(item)) =
        (RestoreId::new("r"), AccountId::new("a"), ItemId::new("i"))
    else {
        unreachable!("these are ids");
    };
    let marks = Marks::new(&restore, &account, &item, None);
    let source = Source {
        json: &json,
        mime,
        attachments: &[],
    };
    let Some(composed) = compose::compose(source, &marks) else {
        assert!(mime.gap_count() > 0, "a whole MIME lacks nothing");
        return;
    };
    for manner in [Manner::Faithful, Manner::MailAddresses, Manner::Cautious] {
        let creation = composed.render(manner);
        assert!(creation.body.get().len() <= REQUEST_BYTES_MAX);
        let value: serde_json::Value =
            serde_json::from_str(creation.body.get()).expect("a request is JSON");
        assert_eq!(value["subject"], "s");
    }
}
