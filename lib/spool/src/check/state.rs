//! What the node remembers: letters seen, numbers, `--once` records, calls, exchange keys.

use std::path::Path;

use mb_wire::id::{KeyTag, LetterId, Root};
use mb_wire::key::exchange_file_tag;

use super::finding::Fault;
use super::fix::{Found, Repair, StateFile};
use crate::called;
use crate::durable::{self, DirRef, Entry, Kind};
use crate::envelopes::read_whole;
use crate::number;
use crate::once;
use crate::seen::{Seen, StagedList, is_done_mark, look_up_in};

/// No key file is longer.
const MOST_KEY_LEN: usize = 4096;

/// A state file in `self/` or `self/seen/` that holds a number.
pub(super) fn number_file(dir: &DirRef, place: &Path, file: StateFile) -> Option<Found> {
    let fault = match number::read_strict(dir, file.name()) {
        Ok(Some(_)) => return None,
        Ok(None) => Fault::Number,
        Err(error) if error.is_missing() => return None,
        Err(error) => Fault::of_error(&error),
    };
    let repair = if fault == Fault::Number { Repair::Number(dir.clone(), file) } else { Repair::Nothing };
    Some(Found::new(place, fault, repair))
}

/// `NODE/call`, in the node's folder.
pub(super) fn call_file(dir: &DirRef, place: &Path) -> Option<Found> {
    match called::read_strict(dir) {
        Ok(Some(_)) => None,
        Ok(None) => Some(Found::new(place, Fault::Call, Repair::Remove(dir.clone(), called::CALL.into()))),
        Err(error) if error.is_missing() => None,
        Err(error) => Some(Found::new(place, Fault::of_error(&error), Repair::Nothing)),
    }
}

/// One record of a letter, in the folder of its day.
pub(super) fn seen_record(dir: &DirRef, place: &Path, entry: &Entry) -> Option<Found> {
    let Some(letter) = entry.name.to_str().and_then(|name| name.parse::<LetterId>().ok()) else {
        return Some(Found::new(place, Fault::Unknown, Repair::Nothing));
    };
    if entry.kind != Kind::File {
        return Some(Found::new(place, Fault::NotAFile, Repair::Nothing));
    }
    match dir.stat(&entry.name) {
        Ok(stat) if is_done_mark(&stat) => return None,
        Err(error) if error.is_missing() => return None,
        _ => {}
    }
    match look_up_in(dir, &letter) {
        Ok(Seen::Done) => None,
        Ok(Seen::Begun(list)) if is_sound(&list) => None,
        Ok(_) => Some(Found::new(place, Fault::Seen, Repair::Seen(dir.clone(), letter))),
        Err(error) => Some(Found::new(place, Fault::of_error(&error), Repair::Nothing)),
    }
}

/// A list with the right hash that leads nowhere: our own mistake, and no delivery can go on from it.
fn is_sound(list: &StagedList) -> bool {
    list.folder.is_absolute() && durable::is_one_component(&list.staged) && durable::is_one_component(&list.wanted)
}

/// One `--once` record.
pub(super) fn once_record(dir: &DirRef, place: &Path, entry: &Entry) -> Option<Found> {
    let Some(name) = entry.name.to_str().filter(|name| name.parse::<Root>().is_ok()) else {
        return Some(Found::new(place, Fault::Unknown, Repair::Nothing));
    };
    match once::read_file(dir, name) {
        Ok(Some(record)) if record.name == name => None,
        Ok(_) if dir.stat(&entry.name).is_err_and(|error| error.is_missing()) => None,
        Ok(_) => Some(Found::new(place, Fault::Once, Repair::Remove(dir.clone(), entry.name.clone()))),
        Err(error) => Some(Found::new(place, Fault::of_error(&error), Repair::Nothing)),
    }
}

/// One exchange key: its form and its name, which is all that can be told without the node's key. Nothing mends one:
/// what is sealed to it can be read again only when it comes back from a backup.
pub(super) fn key_file(dir: &DirRef, place: &Path, entry: &Entry) -> Option<Found> {
    let Some(tag) = entry.name.to_str().and_then(|name| name.parse::<KeyTag>().ok()) else {
        return Some(Found::new(place, Fault::Unknown, Repair::Nothing));
    };
    let fault = match dir.open(&entry.name).and_then(|file| read_whole(&file, MOST_KEY_LEN)) {
        Err(error) if error.is_missing() => return None,
        Err(error) => Fault::of_error(&error),
        Ok(bytes) => match exchange_file_tag(&bytes) {
            Ok(found) if found == tag => return None,
            Ok(found) => Fault::Key(format!("it holds key {found}")),
            Err(error) => error.into(),
        },
    };
    Some(Found::new(place, fault, Repair::Nothing))
}
