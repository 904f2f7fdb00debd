//! Bodies on a stick that no packet needs any more.
//!
//! A body goes only if no envelope on the stick, for whatever node, lists it. Somebody may be putting packets on the
//! stick at this moment; so it is renamed aside first, all envelopes are looked at once more, and it is put back if one
//! lists it now. Who puts a packet on the stick looks, after its envelope is there, whether its bodies are.

use std::collections::BTreeSet;

use mb_spool::durable::{self, DirRef, Kind};
use mb_spool::run::gone;
use mb_wire::envelope::{Prefix, read_prefix};
use mb_wire::id::Root;

use crate::order::read_bounded;
use crate::part::aside_name;
use crate::stick::{BODY, Stick, body_shard, find_dir, make_dir, none_if_missing, packet_named, packet_shards};

/// Removes those of `roots` that no envelope lists; `aside` is the run's own folder. Their absence is durable on return.
///
/// A crash leaves some aside, where settling the folder puts them back before it begins anew.
pub(crate) fn sweep(stick: &Stick, aside: &DirRef, roots: Vec<Root>) -> durable::Result<()> {
    let mut roots: BTreeSet<Root> = roots.into_iter().collect();
    drop_listed(stick, &mut roots)?;
    for root in std::mem::take(&mut roots) {
        if put_aside(stick, aside, &root)? {
            roots.insert(root);
        }
    }
    let mut unlisted = roots.clone();
    drop_listed(stick, &mut unlisted)?;
    for root in roots.difference(&unlisted) {
        put_back(stick, aside, root)?;
    }
    unlisted.iter().try_for_each(|root| gone(aside.unlink(aside_name(root).as_ref())))?;
    sync(stick, aside, &unlisted)
}

/// Drops from `roots` what an envelope on the stick lists.
fn drop_listed(stick: &Stick, roots: &mut BTreeSet<Root>) -> durable::Result<()> {
    if roots.is_empty() {
        return Ok(());
    }
    for_each_prefix(stick, |prefix| {
        for body in &prefix.bodies {
            roots.remove(&body.root);
        }
    })
}

/// Calls `visit` with the prefix of every envelope on the stick that has one, damaged or not.
fn for_each_prefix(stick: &Stick, mut visit: impl FnMut(Prefix)) -> durable::Result<()> {
    stick.for_each_node(|node| {
        let Some(dir) = ours_or_none(stick.node(&node))? else { return Ok(()) };
        for shard in packet_shards(&dir)? {
            let Some(packets) = ours_or_none(find_dir(&dir, &shard))? else { continue };
            for entry in packets.list()? {
                let entry = entry?;
                if packet_named(&entry.name, &shard).is_none() {
                    continue;
                }
                let Some(file) = ours_or_none(none_if_missing(packets.open(&entry.name)))? else { continue };
                let envelope = read_bounded(&file)?;
                envelope.and_then(|envelope| read_prefix(&envelope).ok()).into_iter().for_each(&mut visit);
            }
        }
        Ok(())
    })
}

/// A link or a device where a file or folder should be holds no packet. It is told where packets are taken from it.
fn ours_or_none<T>(result: durable::Result<Option<T>>) -> durable::Result<Option<T>> {
    match result {
        Err(error) if error.is_wrong_kind() => Ok(None),
        other => other,
    }
}

/// `false` if it is not there, or not a file.
fn put_aside(stick: &Stick, aside: &DirRef, root: &Root) -> durable::Result<bool> {
    let Some(shard) = find_shard(stick, root)? else { return Ok(false) };
    let name = root.to_string();
    match none_if_missing(shard.stat(name.as_ref()))? {
        Some(stat) if stat.kind == Kind::File => {}
        _ => return Ok(false),
    }
    Ok(none_if_missing(shard.rename(name.as_ref(), &**aside, aside_name(root).as_ref()))?.is_some())
}

fn find_shard(stick: &Stick, root: &Root) -> durable::Result<Option<DirRef>> {
    let Some(bodies) = stick.bodies()? else { return Ok(None) };
    ours_or_none(find_dir(&bodies, &body_shard(root)))
}

/// Brings a body back to its place.
pub(crate) fn put_back(stick: &Stick, aside: &DirRef, root: &Root) -> durable::Result<()> {
    let shard = make_dir(&make_dir(stick.root(), BODY)?, &body_shard(root))?;
    let name = aside_name(root);
    gone(aside.rename(name.as_ref(), &*shard, root.to_string().as_ref()))?;
    // A power cut can leave both names of a rename, and then one of them replaces the other by doing nothing.
    gone(aside.unlink(name.as_ref()))
}

/// Makes it durable that these bodies are neither in their places nor aside.
fn sync(stick: &Stick, aside: &DirRef, roots: &BTreeSet<Root>) -> durable::Result<()> {
    if roots.is_empty() {
        return Ok(());
    }
    match stick.root().sync_fs() {
        Err(error) if error.is_unsupported() => {}
        other => return other,
    }
    aside.sync()?;
    let shards: BTreeSet<String> = roots.iter().map(body_shard).collect();
    let Some(bodies) = stick.bodies()? else { return Ok(()) };
    shards.iter().try_for_each(|shard| bodies.open_dir(shard.as_ref())?.sync())
}
