//! Two sides get to know each other: the handshake over a link, within a time limit.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use mb_wire::call::handshake::{self, Answered, Callers, FIRST_LEN, HandshakeError, Opener, REPLY_LEN, Sealer};
use mb_wire::id::NodeId;
use mb_wire::key::NodeSecrets;

use super::CallError;
use super::pump::Link;

/// Calls the node `to`, whose call key is `key`, over a link. `address` is for messages.
pub fn call(
    mut link: Link,
    secrets: &NodeSecrets,
    (to, key): (NodeId, [u8; 32]),
    coins: [u8; 32],
    address: &str,
    timeout: Duration,
) -> Result<(Link, (Sealer, Opener)), CallError> {
    let failed = |cause| CallError::Answer { address: address.to_owned(), cause };
    let (calling, first) = handshake::call(secrets, &to, &key, coins).map_err(failed)?;
    let (link_back, reply) = within(link_parts(&mut link), address, timeout, move |read, write| {
        write.write_all(&first).and_then(|()| write.flush()).ok()?;
        let mut reply = Box::new([0; REPLY_LEN]);
        read.read_exact(&mut *reply).ok()?;
        Some(reply)
    })?;
    (link.read, link.write) = link_back;
    let reply = reply.ok_or_else(|| CallError::HungUp(address.to_owned()))?;
    Ok((link, calling.finish(&reply).map_err(failed)?))
}

/// Answers whoever calls over a link. Until it is known who that is, nothing is said.
pub fn answer(
    mut link: Link,
    secrets: &NodeSecrets,
    callers: &Arc<Callers>,
    coins: [u8; 32],
    address: &str,
    timeout: Duration,
) -> Result<(Link, Answered), CallError> {
    let (link_back, first) = within(link_parts(&mut link), address, timeout, |read, _| {
        let mut first = Box::new([0; FIRST_LEN]);
        read.read_exact(&mut first[..handshake::PREAMBLE_LEN]).ok()?;
        // What is no call of ours is not waited for.
        if first.starts_with(b"mailbag/") {
            read.read_exact(&mut first[handshake::PREAMBLE_LEN..]).ok()?;
        }
        Some(first)
    })?;
    (link.read, link.write) = link_back;
    let first = first.ok_or_else(|| CallError::NoCall(address.to_owned()))?;
    let answered = handshake::answer(secrets, &first, callers, coins);
    let answered =
        answered.map_err(|cause: HandshakeError| CallError::Answer { address: address.to_owned(), cause })?;
    link.write.write_all(&*answered.reply).and_then(|()| link.write.flush())?;
    Ok((link, answered))
}

type Cut<'a> = &'a mut (dyn FnMut(bool) + Send);
type Ends = (Box<dyn Read + Send>, Box<dyn Write + Send>);

fn link_parts(link: &mut Link) -> (Ends, Cut<'_>) {
    let read = std::mem::replace(&mut link.read, Box::new(std::io::empty()));
    let write = std::mem::replace(&mut link.write, Box::new(std::io::sink()));
    ((read, write), &mut *link.cut)
}

/// Does `work` on the ends of a link; when the time is up the link is cut. A read cannot be given a time limit on every link,
/// so it is made by a thread of its own.
fn within<T: Send + 'static>(
    ((mut read, mut write), cut): (Ends, Cut),
    address: &str,
    timeout: Duration,
    work: impl FnOnce(&mut dyn Read, &mut dyn Write) -> Option<T> + Send + 'static,
) -> Result<(Ends, Option<T>), CallError> {
    let (sender, receiver) = channel();
    std::thread::Builder::new().name("shake".into()).spawn(move || {
        let done = work(&mut *read, &mut *write);
        // If nobody waits any more, the time was up.
        let _ = sender.send(((read, write), done));
    })?;
    match receiver.recv_timeout(timeout) {
        Ok(done) => Ok(done),
        Err(RecvTimeoutError::Timeout) => {
            cut(false);
            Err(CallError::NoAnswer { address: address.to_owned(), secs: timeout.as_secs() })
        }
        Err(RecvTimeoutError::Disconnected) => Err(CallError::HungUp(address.to_owned())),
    }
}
