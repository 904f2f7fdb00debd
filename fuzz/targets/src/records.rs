//! What lies in a spool or on a stick, and may be damaged: names, records, numbers.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use mb_carry::stick::{body_named, body_shard, node_named, packet_named, packet_shard};
use mb_spool::durable::memory::{Options, World};
use mb_spool::names::{Name, body_name, why_name};
use mb_spool::seen::StagedList;
use mb_spool::{bad, durable, number};
use mb_wire::hash::{Label, hash};
use mb_wire::id::{PacketId, Root};

use crate::input::Input;

/// A name that is ours is spelt as we would.
pub fn names(data: &[u8]) {
    let name = OsStr::from_bytes(data);
    let ours = match Name::parse(name) {
        Name::Envelope(packet) => Some(packet.to_string()),
        Name::Body(packet, number) => Some(body_name(&packet, number.into())),
        Name::Why(packet) => Some(why_name(&packet)),
        Name::Other => None,
    };
    assert!(ours.is_none_or(|ours| *ours == *name));
    assert!(node_named(name).is_none_or(|node| *node.to_string() == *name));
    for shard in ["", "a", "zz"] {
        assert!(packet_named(name, shard).is_none_or(|packet| *packet.to_string() == *name));
        assert!(body_named(name, shard).is_none_or(|root| *root.to_string() == *name));
    }
    if let Some((packet, root)) = packet_named(name, "").zip(body_named(name, "")) {
        assert_eq!(packet_named(name, &packet_shard(&packet)), Some(packet));
        assert_eq!(body_named(name, &body_shard(&root)), Some(root));
    }
}

/// 1: the sum behind it is right; else as it comes.
pub fn seen(data: &[u8]) {
    let mut input = Input(data);
    let record = match input.byte() {
        1 => [input.0, &hash(Label::Seen, &[input.0])].concat(),
        _ => data.to_vec(),
    };
    if let Some(list) = StagedList::from_bytes(&record) {
        assert_eq!(list.to_bytes(), record);
    }
}

/// 1: the sum behind it is right; else as it comes.
pub fn once(data: &[u8]) {
    let mut input = Input(data);
    let record = match input.byte() {
        1 => {
            let sum = Root::from_bytes(hash(Label::Once, &[input.0]));
            [input.0, format!("sum {sum}\n").as_bytes()].concat()
        }
        _ => data.to_vec(),
    };
    let dir = disk(&[("record", &record)]);
    let read = mb_spool::once::read_file(&dir, "record").expect("the disk is sound");
    if let Some(read) = read {
        assert!(read.packets.len() <= record.len());
    }
}

/// The same bytes as a number and as a reason.
pub fn state(data: &[u8]) {
    let packet = PacketId::from_bytes([1; 32]);
    let dir = disk(&[("day", data), (&why_name(&packet), data)]);
    if let Some(number) = number::read(&dir, "day").expect("the disk is sound") {
        assert!(std::str::from_utf8(data).is_ok_and(|text| text.contains(&number.to_string())));
    }
    let why = bad::why(&dir, &packet).expect("the disk is sound");
    assert!(why.is_some());
}

/// A folder with these files.
fn disk(files: &[(&str, &[u8])]) -> durable::DirRef {
    let dir = World::new(1).file_system(Options::default());
    for (name, content) in files {
        let file = dir.create(name.as_ref(), 0o600).expect("the name is free");
        file.write_at(content, 0).expect("there is room");
    }
    dir
}
