//! Everything that is decoded: what was encoded comes back, and arbitrary bytes are refused without harm.

use jiff::Timestamp;
use proptest::{collection::vec, prelude::*};
use sha2::{Digest, Sha256};

use crate::{
    blob::{self, BlobKind},
    compression::Compressors,
    config::Config,
    crypto::Key,
    error::Problem,
    fuzzing::stored_pack,
    id::{BlobId, ObjectId, SnapshotId},
    index_file::{IndexFile, IndexedPack},
    key::KeyFile,
    name::Name,
    pack::{self, Entry},
    sealed_file,
    snapshot::Snapshot,
    tree::{Node, Tree},
};

fn key() -> Key {
    Key::from_bytes([7; 64])
}

fn kind() -> impl Strategy<Value = BlobKind> {
    prop_oneof![Just(BlobKind::Content), Just(BlobKind::Tree)]
}

fn blob_id() -> impl Strategy<Value = BlobId> {
    any::<[u8; 32]>().prop_map(BlobId)
}

fn time() -> impl Strategy<Value = Timestamp> {
    // Go writes the years 0 to 9999.
    (-62_000_000_000..253_000_000_000_i64, 0..1_000_000_000)
        .prop_map(|(s, ns)| Timestamp::new(s, ns).expect("within the range of times"))
}

fn node() -> impl Strategy<Value = Node> {
    let name =
        "[a-zA-Z0-9äß日本 ._-]{0,20}[a-z]".prop_filter_map("plain", |name| Name::plain(&name).ok());
    let file =
        (vec(blob_id(), 0..3), any::<u64>()).prop_map(|(blobs, size)| (Some((blobs, size)), None));
    let directory = (blob_id(), any::<bool>()).prop_map(|directory| (None, Some(directory)));
    (name, time(), prop_oneof![file, directory]).prop_map(|(name, time, what)| match what {
        (Some((blobs, size)), _) => Node::file(name, blobs, size, time),
        (_, Some((id, stays))) => Node::directory(name, Some(id), stays, time),
        (None, None) => Node::directory(name, None, false, time),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn packs_come_back(kind in kind(), blobs in vec(vec(any::<u8>(), 0..2000), 1..8)) {
        let (bytes, entries) = stored_pack(kind, &blobs);
        prop_assert_eq!(&pack::read_header(&key(), &bytes), &Ok(entries.clone()));
        for (entry, plain) in entries.iter().zip(&blobs) {
            let sealed = entry.slice(&bytes).expect("it is within the pack");
            prop_assert_eq!(entry.content_length(), plain.len() as u64);
            let opened = blob::open(&key(), entry.id, sealed, entry.expanded);
            prop_assert_eq!(opened.as_ref(), Ok(plain));
        }
    }

    #[test]
    fn a_pack_with_any_bit_changed_is_refused(blobs in vec(vec(any::<u8>(), 0..200), 1..4), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let (mut bytes, entries) = stored_pack(BlobKind::Content, &blobs);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let header = pack::read_header(&key(), &bytes);
        let blobs_open = entries.iter().all(|entry| {
            let sealed = entry.slice(&bytes).expect("it is within the pack");
            blob::open(&key(), entry.id, sealed, entry.expanded).is_ok()
        });
        prop_assert!(header.is_err() || !blobs_open);
    }

    #[test]
    fn a_blob_of_another_name_is_refused(plain in vec(any::<u8>(), 1..500), id in blob_id()) {
        // Abuse 27.
        let opened = Compressors::default().with(|workbench| {
            let sealed = blob::seal(&key(), workbench, BlobKind::Content, id, &plain);
            blob::open(&key(), id, sealed.bytes, sealed.expanded)
        });
        prop_assert_eq!(opened, Err(Problem::WrongHash));
    }

    #[test]
    fn index_files_come_back(blobs in vec((blob_id(), kind(), 0..1_000_000_u32, 32..1_000_000_u32, prop::option::of(1..1_000_000_u32)), 0..20)) {
        let entries: Vec<Entry> = blobs.into_iter()
            .map(|(id, kind, offset, length, expanded)| Entry { id, kind, offset, length, expanded })
            .collect();
        let file = IndexFile { packs: vec![IndexedPack::new(ObjectId::of(b"pack"), &entries)] };
        let sealed = sealed_file::encode(&key(), &Compressors::default(), &file);
        let read: IndexFile = sealed_file::decode(&key(), &sealed).expect("it is whole");
        let listed: Result<Vec<Entry>, _> = read.packs[0].entries().collect();
        prop_assert_eq!(listed, Ok(entries));
    }

    #[test]
    fn directories_come_back(mut nodes in vec(node(), 0..20)) {
        nodes.sort_by(|a, b| a.stored_name().cmp(b.stored_name()));
        let encoded = Tree::encode(&nodes.iter().collect::<Vec<_>>());
        prop_assert_eq!(&encoded[encoded.len() - 3..], b"]}\n");
        let decoded = Tree::decode(&encoded).expect("it is whole");
        prop_assert_eq!(Tree::encode(&decoded.nodes.iter().collect::<Vec<_>>()), encoded);
    }

    #[test]
    fn snapshots_come_back(time in time(), tree in blob_id(), tags in vec(".*", 0..3), hostname in ".*", parent in prop::option::of(any::<[u8; 32]>())) {
        let snapshot = Snapshot {
            time, tree, tags, hostname,
            parent: parent.map(SnapshotId),
            paths: vec!["/a".to_owned()],
            username: String::new(),
            original: None,
            program_version: "keepwell".to_owned(),
        };
        let sealed = sealed_file::encode(&key(), &Compressors::default(), &snapshot);
        prop_assert_eq!(sealed_file::decode::<Snapshot>(&key(), &sealed), Ok(snapshot));
    }

    #[test]
    fn arbitrary_bytes_are_refused(bytes in vec(any::<u8>(), 0..300)) {
        // Sealed as well, so that what is behind the seal is reached.
        for input in [bytes.clone(), key().seal(&bytes), key().seal(&[&[2], &bytes[..]].concat())] {
            prop_assert!(sealed_file::decode::<Snapshot>(&key(), &input).is_err());
            prop_assert!(sealed_file::decode::<IndexFile>(&key(), &input).is_err());
            prop_assert!(Config::open(&key(), &input).is_err());
            let length = (input.len() as u32).to_le_bytes();
            let header = pack::read_header(&key(), &[&input[..], &length].concat());
            prop_assert!(header.is_err() || bytes.is_empty());
            let id = BlobId(Sha256::digest(b"other").into());
            prop_assert!(blob::open(&key(), id, &input, None).is_err());
            prop_assert!(blob::open(&key(), id, &input, Some(100)).is_err());
        }
        prop_assert!(Tree::decode(&bytes).is_err());
        prop_assert!(KeyFile::parse(&bytes).is_err());
    }
}

/// Abuse 28.
#[test]
fn a_blob_that_would_fill_the_memory_is_refused() {
    let bomb = Compressors::default().compress(&vec![0; 200 << 20]);
    let sealed = key().seal(&bomb);
    for stated in [1 << 20, 200 << 20, u32::MAX] {
        let opened = blob::open(&key(), BlobId::of(b""), &sealed, Some(stated));
        assert_eq!(opened, Err(Problem::Expansion));
    }
    let sealed = key().seal(&[&[2], &bomb[..]].concat());
    assert_eq!(
        sealed_file::decode::<IndexFile>(&key(), &sealed).err(),
        Some(Problem::Expansion)
    );
}

#[test]
fn a_directory_is_encoded_as_restic_does() {
    let restics = concat!(
        r#"{"nodes":[{"name":"bad\\xff\\x01\\u200b\\u00adn","type":"file","mode":420,"mtime":"2026-11-22T15:09:27.313440125Z","#,
        r#""atime":"2026-11-22T15:09:27.313440125+01:00","ctime":"2026-11-22T15:09:27Z","uid":0,"gid":0,"user":"root","group":"a\u0026b","#,
        r#""inode":1,"device_id":65024,"size":1,"links":1,"extended_attributes":[{"name":"user.x","value":"YQ=="}],"#,
        r#""content":["2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"]},"#,
        r#"{"name":"ln","type":"symlink","mode":134218239,"mtime":"2026-11-22T15:09:27Z","atime":"2026-11-22T15:09:27Z","#,
        r#""ctime":"2026-11-22T15:09:27Z","uid":0,"gid":0,"links":1,"linktarget":"\u003ca\u003e","content":null},"#,
        r#"{"name":"we\\\"ird \u0026 \u003c\u003e.txt","type":"file","mode":420,"mtime":"2026-11-22T15:09:27Z","#,
        r#""atime":"2026-11-22T15:09:27Z","ctime":"2026-11-22T15:09:27Z","uid":0,"gid":0,"content":[]}]}"#,
        "\n",
    );
    let tree = Tree::decode(restics.as_bytes()).expect("restic wrote it");
    assert_eq!(tree.nodes[2].name(), r#"we"ird & <>.txt"#);
    let encoded = Tree::encode(&tree.nodes.iter().collect::<Vec<_>>());
    assert_eq!(String::from_utf8_lossy(&encoded), restics);
    assert_eq!(Tree::encode(&[]), b"{\"nodes\":[]}\n");
}
