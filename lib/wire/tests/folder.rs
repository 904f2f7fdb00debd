//! Folders: any slicing of the stream gives the same entries, and only ordered, complete trees are taken.

use mb_wire::folder::{FolderDecoder, FolderEntry, FolderError, FolderEvent, FolderOrder, encode_entry};
use proptest::prelude::*;

fn folder(path: &str) -> FolderEntry {
    FolderEntry::Folder { mode: 0o755, path: path.into(), mtime: (1, 2) }
}

fn file(path: &str, len: u64) -> FolderEntry {
    FolderEntry::File { len, mode: 0o644, path: path.into(), mtime: (-1, 2) }
}

fn link(path: &str, target: &[u8]) -> FolderEntry {
    FolderEntry::Link { path: path.into(), mtime: (1, 2), target: target.into() }
}

/// The stream of these entries; a file of n bytes holds n times the letter x.
fn stream(entries: &[FolderEntry]) -> Vec<u8> {
    let content = |entry: &FolderEntry| vec![b'x'; entry.content_len() as usize];
    entries.iter().flat_map(|entry| [encode_entry(entry), content(entry)].concat()).collect()
}

/// What comes out of a stream that comes in slices of `step` bytes: entries, and how much content.
fn read(stream: &[u8], step: usize) -> Result<(Vec<FolderEntry>, u64), FolderError> {
    let (mut decoder, mut entries, mut content) = (FolderDecoder::new(), Vec::new(), 0);
    for mut slice in stream.chunks(step) {
        while let Some(event) = decoder.next(&mut slice)? {
            match event {
                FolderEvent::Entry(entry) => entries.push(entry),
                FolderEvent::Content(bytes) => content += bytes.len() as u64,
            }
        }
    }
    decoder.finish().map(|()| (entries, content))
}

fn tree() -> Vec<FolderEntry> {
    vec![
        folder(""),
        file("a", 3),
        folder("b"),
        folder("b/c"),
        file("b/c/d", 0),
        link("b/e", b"../../out"),
        file("b-", 1000),
        folder("empty"),
        file("z", 1),
    ]
}

#[test]
fn a_folder_comes_out_as_it_went_in_however_it_is_sliced() {
    let stream = stream(&tree());
    for step in [1, 2, 3, 7, 64, 1001, stream.len()] {
        assert_eq!(read(&stream, step), Ok((tree(), 1004)));
    }
}

#[test]
fn an_order_takes_what_a_reader_takes() {
    let mut order = FolderOrder::new();
    assert!(tree().iter().all(|entry| order.accept(entry).is_ok()));
    assert_eq!(order.accept(&file("y", 0)), Err(FolderError::Order));
}

#[test]
fn a_folder_cut_anywhere_is_no_folder() {
    let stream = stream(&tree());
    let mut whole = 0;
    for cut in 0..stream.len() {
        match read(&stream[..cut], 100) {
            Ok((entries, _)) => whole += usize::from(entries == tree()[..entries.len()]),
            Err(error) => assert_eq!(error, FolderError::Short),
        }
    }
    // Between two entries a prefix is a folder by itself: that all of it came, the signed length says.
    assert_eq!(whole, tree().len() - 1);
}

/// Threat: 1.
#[test]
fn entries_out_of_place_are_refused() {
    use FolderError::*;
    let cases = [
        (vec![], Short),
        (vec![file("a", 0)], NoTop),
        (vec![file("", 0)], NoTop),
        (vec![folder(""), folder("")], Order),
        (vec![folder(""), file("a", 0), file("a", 0)], Order),
        (vec![folder(""), file("b", 0), file("a", 0)], Order),
        (vec![folder(""), folder("a"), file("b", 0), file("a/c", 0)], Order),
        (vec![folder(""), folder("a-"), file("a/c", 0)], Order),
        (vec![folder(""), file("a/b", 0)], Parent),
        (vec![folder(""), file("a", 0), file("a/b", 0)], Parent),
        (vec![folder(""), link("a", b"/etc"), file("a/b", 0)], Parent),
        (vec![folder(""), folder("ab"), file("ab/c", 0), file("abc/d", 0)], Parent),
        (vec![folder(""), folder("a"), file("a/b/c", 0)], Parent),
        (vec![folder(""), link("a", b"")], Target),
        (vec![folder(""), link("a", b"x\0")], Target),
        (vec![folder(""), link("a", &[b'x'; 4097])], Target),
        (vec![folder(""), file("a", 1 << 53)], Range("length")),
    ];
    for (entries, error) in cases {
        let headers: Vec<u8> = entries.iter().flat_map(encode_entry).collect();
        assert_eq!(read(&headers, 50), Err(error), "{entries:?}");
    }
}

/// Threat: 1.
#[test]
fn paths_that_lead_elsewhere_are_refused() {
    for path in ["/", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/./b", "a\0", "\0"] {
        let read = read(&stream(&[folder(""), folder("a"), file(path, 0)]), 50);
        assert!(matches!(read, Err(FolderError::Path(_))), "{path:?} {read:?}");
    }
    let long = |len| read(&stream(&[folder(""), file(&"x".repeat(len), 0)]), 50).is_ok();
    assert!(long(255) && !long(256));
}

#[test]
fn a_folder_is_at_most_128_levels_deep() {
    let deep = |levels: usize| {
        let paths = (0..=levels).map(|n| vec!["d"; n].join("/"));
        read(&stream(&paths.map(|path| folder(&path)).collect::<Vec<_>>()), 1000)
    };
    assert!(deep(128).is_ok());
    assert_eq!(deep(129), Err(FolderError::Depth));
}

#[test]
fn a_header_that_claims_much_is_refused_at_once() {
    let claims: [&[u8]; 4] = [&[0x59, 0x40, 0x01], &[0x5a, 0xff, 0xff, 0xff, 0xff], &[0x5b; 9], &[0x5f]];
    for claim in claims {
        let mut decoder = FolderDecoder::new();
        assert!(decoder.next(&mut &claim[..]).is_err() || decoder.finish().is_err(), "{claim:x?}");
    }
}

prop_compose! {
    fn any_tree()(
        names in proptest::collection::btree_map("[a-c.-]{1,3}(/[a-c.-]{1,3}){0,4}", (0_u64..50, 0..3), 0..40)
    ) -> Vec<FolderEntry> {
        let mut order = FolderOrder::new();
        let top = folder("");
        order.accept(&top).unwrap();
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort_by(|(a, _), (b, _)| mb_wire::path::compare(a.as_bytes(), b.as_bytes()));
        let entries = names.into_iter().map(|(path, (len, what))| match what {
            0 => file(&path, len),
            1 => link(&path, &vec![b't'; len as usize + 1]),
            _ => folder(&path),
        });
        [top].into_iter().chain(entries.filter(|entry| order.accept(entry).is_ok())).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_folder_comes_out_as_it_went_in(tree in any_tree(), step in 1_usize..300) {
        let content = tree.iter().map(FolderEntry::content_len).sum();
        prop_assert_eq!(read(&stream(&tree), step), Ok((tree, content)));
    }

    /// Threat: 7.
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..500), step in 1_usize..300) {
        prop_assert!(read(&bytes, step).is_err());
    }

    #[test]
    fn a_damaged_folder_never_panics(at in any::<prop::sample::Index>(), byte: u8, step in 1_usize..300) {
        let mut stream = stream(&tree());
        let at = at.index(stream.len());
        stream[at] = byte;
        let _ = read(&stream, step).map(|(entries, _)| assert_eq!(self::stream(&entries).len(), stream.len()));
    }
}
