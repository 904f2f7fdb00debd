//! Messages of areas that are kept: each is what its name says, and has the bodies that it lists.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use mb_wire::id::{MsgHash, Root};

use super::finding::Fault;
use super::fix::{Found, Repair};
use super::hashing::{Hashing, Wanted};
use crate::areas::{kept_body_name, read_kept};
use crate::durable::{self, DirRef, Kind};

/// Body number `.1` of message `.0` should be `.2`.
type At = (MsgHash, usize, Root);

/// Everything that is wrong in one day of one area. Of a message that is damaged nobody needs the rest: it goes whole.
pub(super) fn check(dir: &DirRef, place: &Path, hashing: &Hashing) -> Vec<Found> {
    let (messages, mut strange) = match list(dir, place) {
        Ok(listed) => listed,
        Err(error) => return vec![Found::new(place, Fault::of_error(&error), Repair::Nothing)],
    };
    let found = Mutex::new(Vec::new());
    let tell = |name: String, fault: Fault, repair| {
        found.lock().unwrap_or_else(PoisonError::into_inner).push(Found::new(place.join(&name), fault, repair));
    };
    let mut rest = messages.iter().copied();
    hashing.run(
        || rest.next(),
        |hash: MsgHash, wanted: &mut Vec<Wanted<At>>| match read_kept(dir, &hash) {
            Ok(Some(message)) => wanted.extend(message.head.bodies.iter().enumerate().map(|(number, body)| Wanted {
                dir: dir.clone(),
                name: kept_body_name(&hash, number),
                root: body.root,
                size: Some(body.size),
                at: (hash, number, body.root),
            })),
            Ok(None) => {
                let repair = Repair::Remove(dir.clone(), hash.to_string().into());
                tell(hash.to_string(), Fault::Message, repair);
            }
            Err(error) if error.is_missing() => {}
            Err(error) => tell(hash.to_string(), Fault::of_error(&error), Repair::Nothing),
        },
        |(hash, number, root), fault| {
            let repair = Repair::Remove(dir.clone(), hash.to_string().into());
            match fault {
                Some(fault) => tell(kept_body_name(&hash, number), fault, repair),
                None => tell(hash.to_string(), Fault::Missing { number, root }, repair),
            }
        },
    );
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.append(&mut strange);
    // What has ended meanwhile is no finding.
    found.retain(|one| one.place.file_name().is_none_or(|name| dir.stat(name).is_ok()));
    found.sort_by(|a, b| a.place.cmp(&b.place));
    found
}

/// The messages, and what has no name that one can have.
fn list(dir: &DirRef, place: &Path) -> durable::Result<(Vec<MsgHash>, Vec<Found>)> {
    let (mut messages, mut strange) = (Vec::new(), Vec::new());
    for entry in dir.list()? {
        let entry = entry?;
        let name = entry.name.to_str().unwrap_or_default();
        let (stem, number) = name.split_once('.').map_or((name, None), |(stem, number)| (stem, Some(number)));
        match (stem.parse::<MsgHash>(), number) {
            _ if entry.kind != Kind::File => strange.push((entry.name.clone(), Fault::NotAFile)),
            (Ok(hash), None) => messages.push(hash),
            (Ok(_), Some(number)) if number.parse::<u16>().is_ok() => {}
            _ => strange.push((entry.name.clone(), Fault::Unknown)),
        }
    }
    messages.sort_unstable();
    let found = |(name, fault)| Found::new(place.join(name), fault, Repair::Nothing);
    Ok((messages, strange.into_iter().map(found).collect()))
}
