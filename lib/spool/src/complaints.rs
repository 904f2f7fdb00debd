//! `NODE/complaints/DAY/PKT`: a packet that NODE handed over, and of which its receiver complains; DAY is when that was heard. The name
//! is that of the packet that we made of it. After a while they are forgotten.

use mb_wire::id::{NodeId, PacketId};

use crate::durable;
use crate::layout::{FILE_MODE, Spool, days};
use crate::run::forget_days;

/// The folder's name.
pub const COMPLAINTS: &str = "complaints";
/// Days after which a complaint is forgotten.
pub const DAYS: u32 = 30;

/// Counts a complaint about `packet` against `node`. Not synced: what a power cut takes is counted when it comes again.
pub fn count(spool: &Spool, node: &NodeId, packet: &PacketId, today: u32) -> durable::Result<()> {
    let day = spool.make(&[&node.to_string(), COMPLAINTS, &today.to_string()])?;
    match day.create(packet.to_string().as_ref(), FILE_MODE) {
        Err(error) if error.is_taken() => Ok(()),
        other => other.map(drop),
    }
}

/// How many complaints there are about what `node` handed over.
pub fn of(spool: &Spool, node: &NodeId) -> durable::Result<u64> {
    let Some(folder) = spool.find(&[&node.to_string(), COMPLAINTS])? else { return Ok(0) };
    let mut found = 0;
    for day in days(&folder)? {
        for entry in folder.open_dir(day.to_string().as_ref())?.list()? {
            entry?;
            found += 1;
        }
    }
    Ok(found)
}

/// Forgets what is old.
pub fn forget_before(spool: &Spool, today: u32) -> durable::Result<()> {
    for node in spool.nodes()? {
        let Some(folder) = spool.find(&[&node.to_string(), COMPLAINTS])? else { continue };
        forget_days(&folder, |day| day.saturating_add(DAYS) < today)?;
    }
    Ok(())
}
