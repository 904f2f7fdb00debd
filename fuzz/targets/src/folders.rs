//! Folder payloads.

use mb_wire::folder::{FolderDecoder, FolderEntry, FolderError, FolderEvent, encode_entry};

use crate::input::Input;

/// However the stream is cut, the same comes out; and what is whole is written the same again.
pub fn folder(data: &[u8]) {
    let mut input = Input(data);
    let cut = input.byte();
    let whole = read([input.0].into_iter());
    let sliced = read(slices(input.0, cut));
    assert_eq!(whole, sliced);
    if let Ok(entries) = whole {
        let again: Vec<u8> =
            entries.iter().flat_map(|(entry, content)| [encode_entry(entry), content.clone()].concat()).collect();
        assert_eq!(again, input.0);
        assert!(entries.iter().all(|(entry, content)| entry.content_len() == content.len() as u64));
    }
}

/// `data` in slices; what one has depends on `cut` and its place.
pub fn slices(mut data: &[u8], cut: u8) -> impl Iterator<Item = &[u8]> {
    let mut step = usize::from(cut);
    std::iter::from_fn(move || {
        step = (step * 5 + 1) % 257;
        let (slice, rest) = data.split_at(data.len().min(1 + step * usize::from(cut % 4)));
        data = rest;
        (!slice.is_empty()).then_some(slice)
    })
}

/// An entry, and its file's content.
pub type Read = (FolderEntry, Vec<u8>);

/// All entries of a stream, if it is a whole folder.
pub fn read<'a>(stream: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Read>, FolderError> {
    let (mut decoder, mut entries) = (FolderDecoder::new(), Vec::<Read>::new());
    for mut slice in stream {
        while let Some(event) = decoder.next(&mut slice)? {
            match event {
                FolderEvent::Entry(entry) => entries.push((entry, Vec::new())),
                FolderEvent::Content(content) => {
                    entries.last_mut().expect("content comes behind its entry").1.extend_from_slice(content);
                }
            }
        }
        assert!(slice.is_empty());
    }
    decoder.finish()?;
    Ok(entries)
}
