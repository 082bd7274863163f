//! What must hold for every input of this crate's decoders, for the fuzz targets and the tests that repeat their corpus.
//!
//! Everything stored is sealed, so the inputs stand for what is behind the seal: what a broken program, or somebody with the password, wrote.
//! A function here returns when all is well and panics otherwise. It is part of no ordinary build.

use crate::{
    blob::{self, BlobKind, MAX_BLOB_BYTES, Opener},
    compression::Compressors,
    config::Config,
    crypto::{Key, OVERHEAD_BYTES},
    error::Problem,
    id::{BlobId, ObjectId},
    index_file::{IndexFile, IndexedPack},
    key::KeyFile,
    pack::{self, Entry, PackBuilder},
    sealed_file,
    snapshot::Snapshot,
    tree::{Node, Tree},
};

/// The smallest entry of a pack's header: kind, length and id.
const SMALLEST_ENTRY_BYTES: usize = 37;
/// Blobs in the packs that are made from an input.
const BLOBS_MAX: usize = 6;

fn key() -> Key {
    Key::from_bytes([7; 64])
}

/// `bytes` as the header of a pack: what is understood is written again as it was, and its blobs lie one after the other.
pub fn pack_header(bytes: &[u8]) {
    let Ok(entries) = pack::decode_header(bytes) else {
        return;
    };
    assert_eq!(pack::encode_header(&entries), bytes);
    assert!(entries.len() * SMALLEST_ENTRY_BYTES <= bytes.len());
    let mut end = 0;
    for entry in &entries {
        assert_eq!(u64::from(entry.offset), end);
        assert!(entry.length as usize >= OVERHEAD_BYTES);
        end += u64::from(entry.length);
    }
}

/// A pack made after a plan and then tampered with: nothing else is ever read from it than what was put in.
pub fn pack_tampering(plan: &[u8]) {
    let [kind, at_high, at_low, flip, cut, contents @ ..] = plan else {
        return;
    };
    let kind = match kind & 1 {
        0 => BlobKind::Content,
        _ => BlobKind::Tree,
    };
    let blobs: Vec<&[u8]> = contents.split(|byte| *byte == 0).take(BLOBS_MAX).collect();
    let (sound, entries) = stored_pack(kind, &blobs);
    assert_eq!(pack::read_header(&key(), &sound), Ok(entries.clone()));
    assert_eq!(readable(&sound, &entries, &blobs), blobs.len());

    let mut tampered = sound.clone();
    let at = usize::from(u16::from_be_bytes([*at_high, *at_low])) % sound.len();
    tampered[at] ^= flip;
    tampered.truncate(sound.len() - usize::from(*cut) % sound.len());
    if tampered == sound {
        return;
    }
    if let Ok(found) = pack::read_header(&key(), &tampered) {
        assert_eq!(found, entries, "a forged header was believed");
        assert_eq!(tampered.len(), sound.len(), "a cut pack was believed");
    }
    let readable = readable(&tampered, &entries, &blobs);
    let within = entries.last().is_some_and(|last| at < end(last));
    assert!(
        *flip == 0 || !within || readable < blobs.len(),
        "a changed blob was read"
    );
}

fn end(entry: &Entry) -> usize {
    entry.offset as usize + entry.length as usize
}

/// How many of the blobs can be read, one after the other in the same memory; they are what was put in.
fn readable(pack: &[u8], entries: &[Entry], blobs: &[&[u8]]) -> usize {
    let mut opener = Opener::default();
    let read = entries.iter().zip(blobs).filter(|(entry, plain)| {
        let opened = entry
            .slice(pack)
            .and_then(|sealed| opener.open(&key(), entry.id, sealed, entry.expanded));
        opened.is_ok_and(|opened| {
            assert_eq!(opened, **plain, "other content was handed out");
            true
        })
    });
    read.count()
}

/// A finished pack as it lies in storage.
pub(crate) fn stored_pack(kind: BlobKind, blobs: &[impl AsRef<[u8]>]) -> (Vec<u8>, Vec<Entry>) {
    let compressors = Compressors::default();
    let mut builder = PackBuilder::new(kind);
    for plain in blobs {
        let plain = plain.as_ref();
        let id = BlobId::of(plain);
        compressors.with(|workbench| builder.add(blob::seal(&key(), workbench, kind, id, plain)));
    }
    let pack = builder
        .finish(&key(), &mut Opener::default())
        .expect("what was just sealed opens");
    assert_eq!(ObjectId::of(&pack.content), pack.id);
    (pack.content.into(), pack.entries)
}

/// `json` as an index file: blobs that are too large or reach beyond every pack are refused, the others are written again as they were.
pub fn index_file(json: &[u8]) {
    let Ok(file) = serde_json::from_slice::<IndexFile>(json) else {
        return;
    };
    let mut again = IndexFile::default();
    let mut entries = Vec::new();
    for pack in &file.packs {
        let Ok(of_pack) = pack.entries().collect::<Result<Vec<Entry>, Problem>>() else {
            return;
        };
        for entry in &of_pack {
            assert!(entry.length as usize <= MAX_BLOB_BYTES);
            assert!(entry.content_length() <= MAX_BLOB_BYTES as u64);
            assert!(entry.offset.checked_add(entry.length).is_some());
        }
        again.packs.push(IndexedPack::new(pack.id, &of_pack));
        entries.push((pack.id, of_pack));
    }
    let written = serde_json::to_vec(&again).expect("an index file can be written");
    let read: IndexFile = serde_json::from_slice(&written).expect("it was just written");
    let read: Vec<_> = read
        .packs
        .iter()
        .map(|pack| (pack.id, pack.entries().flatten().collect::<Vec<Entry>>()))
        .collect();
    assert_eq!(read, entries);
    assert_eq!(file.blob_count(), again.blob_count());
}

/// `json` as a directory: written again it says the same, byte for byte from the second time on, and its names have one order.
pub fn tree(json: &[u8]) {
    let Ok(tree) = Tree::decode(json) else {
        return;
    };
    let nodes: Vec<&Node> = tree.nodes.iter().collect();
    let written = Tree::encode(&nodes);
    let read = Tree::decode(&written).expect("it was just written");
    let again: Vec<&Node> = read.nodes.iter().collect();
    assert_eq!(Tree::encode(&again), written);
    for (node, again) in nodes.iter().zip(&again) {
        assert_eq!(node.name(), again.name());
        assert_eq!(node.kind(), again.kind());
        assert_eq!(node.content(), again.content());
        assert_eq!(node.subtree(), again.subtree());
        assert_eq!((node.size(), node.stays()), (again.size(), again.stays()));
        assert_eq!(node.modified(), again.modified());
        assert!(tree.find(&node.name()).is_some());
    }
    for pair in nodes.windows(2) {
        let (a, b) = (pair[0].stored_name(), pair[1].stored_name());
        assert_eq!(a.cmp(b), b.cmp(a).reverse());
        assert_eq!(a.cmp(b).is_eq(), a == b);
    }
}

/// `plain` behind the seal of a snapshot, the configuration, or as a key file: what is understood comes back, and without the seal nothing is.
pub fn sealed_file(plain: &[u8]) {
    let sealed = key().seal(plain);
    if let Ok(snapshot) = sealed_file::decode::<Snapshot>(&key(), &sealed) {
        let again = sealed_file::encode(&key(), &Compressors::default(), &snapshot);
        assert_eq!(sealed_file::decode(&key(), &again), Ok(snapshot));
    }
    if let Ok(config) = Config::open(&key(), &sealed) {
        let again = Config::open(&key(), &config.seal(&key())).expect("it was just written");
        assert_eq!(again.id, config.id);
    }
    if let Ok(file) = KeyFile::parse(plain) {
        KeyFile::parse(&file.to_bytes()).expect("it was just written");
    }
    let mut broken = sealed;
    let at = plain.len() % broken.len();
    broken[at] ^= 1;
    for forged in [plain, &broken] {
        assert!(sealed_file::decode::<serde_json::Value>(&key(), forged).is_err());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kept_corpus_holds() {
        testkit::corpus::repeat(&[
            ("pack_header", pack_header),
            ("pack_tampering", pack_tampering),
            ("index_file", index_file),
            ("tree", tree),
            ("sealed_file", sealed_file),
        ]);
    }
}
