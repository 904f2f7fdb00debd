//! A folder that holds packets: each envelope, each body that it lists, and nothing else.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use mb_wire::envelope::{Prefix, read_prefix};
use mb_wire::id::{NodeId, PacketId, Root};

use super::finding::Fault;
use super::fix::{Found, Repair};
use super::hashing::{Hashing, Wanted};
use crate::bodies::exists;
use crate::durable::{self, DirRef, Kind};
use crate::envelopes::{self, Read};
use crate::names::{Name, body_name};

/// What holds in a folder of packets.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    /// Packets for this node, each with all of its bodies.
    Leaving(NodeId),
    /// The same while it is being published: bodies may outstay their envelope.
    Committed(NodeId),
    /// Packets for this node, whose bodies may still come.
    Arrived(NodeId),
    /// Packets that nobody asks anything of any more.
    Bad,
}

impl Rule {
    fn to(self) -> Option<NodeId> {
        match self {
            Rule::Leaving(to) | Rule::Committed(to) | Rule::Arrived(to) => Some(to),
            Rule::Bad => None,
        }
    }
}

/// A folder that holds packets.
pub(super) struct Packets<'a> {
    pub dir: &'a DirRef,
    pub place: &'a Path,
    pub rule: Rule,
    /// Where packets of the same node wait: bodies without an envelope may be theirs.
    pub wait: Option<&'a DirRef>,
}

/// Number `.1` of packet `.0` should be the body `.2`.
type At = (PacketId, u16, Root);

impl Packets<'_> {
    /// Everything that is wrong here, in the order of places.
    pub fn check(&self, hashing: &Hashing, pause: &dyn Fn()) -> Vec<Found> {
        let listing = match Listing::read(self) {
            Ok(listing) => listing,
            Err(error) => return vec![Found::new(self.place, Fault::of_error(&error), Repair::Nothing)],
        };
        let found = Mutex::new(Vec::new());
        let tell = |one: Found| found.lock().unwrap_or_else(PoisonError::into_inner).push(one);
        if !matches!(self.rule, Rule::Bad) {
            let mut packets = listing.envelopes.iter();
            hashing.run(
                || packets.next().copied(),
                |packet, wanted| {
                    if let Err(fault) = self.look(&packet, &listing, wanted, &tell) {
                        tell(self.condemned(&packet.to_string(), &packet, fault));
                    }
                },
                |(packet, number, root), fault| tell(self.body_found(&packet, number, root, fault)),
            );
        }
        let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        if !matches!(self.rule, Rule::Committed(_)) {
            let is_awaited = |packet: &PacketId| {
                let is_arrived = matches!(self.rule, Rule::Arrived(_));
                self.wait
                    .filter(|_| is_arrived)
                    .is_some_and(|wait| exists(&**wait, &packet.to_string()).unwrap_or(true))
            };
            let orphans = listing.orphans().filter(|(packet, _)| !is_awaited(packet));
            orphans.for_each(|(packet, number)| found.push(self.orphan(&packet, number)));
        }
        found.extend(listing.strangers);
        // Others work here at the same time: what has gone its way meanwhile is no finding.
        found.retain(|one| self.still_holds(one));
        if found.iter().any(|one| matches!(one.fault, Fault::Missing { .. } | Fault::Orphan)) {
            pause();
            found.retain(|one| self.still_holds(one));
        }
        found.sort_by(|a, b| a.place.cmp(&b.place));
        found
    }

    /// An envelope by itself; asks for its bodies.
    fn look(
        &self,
        packet: &PacketId,
        listing: &Listing,
        wanted: &mut Vec<Wanted<At>>,
        tell: &impl Fn(Found),
    ) -> Result<(), Fault> {
        let bytes = match envelopes::read(self.dir, packet) {
            Ok(Read::Whole(bytes)) => bytes,
            Ok(Read::Missing) => return Ok(()),
            Ok(Read::Damaged) => return Err(Fault::Content),
            Err(error) => return Err(Fault::of_error(&error)),
        };
        let prefix = read_prefix(&bytes).map_err(Fault::Prefix)?;
        if self.rule.to().is_some_and(|to| prefix.to != to) {
            return Err(Fault::To(prefix.to));
        }
        wanted.extend(self.wanted(packet, &prefix));
        for number in listing.numbers(packet).filter(|number| usize::from(*number) >= prefix.bodies.len()) {
            let name = body_name(packet, number.into());
            tell(Found::new(self.at(&name), Fault::Unlisted, Repair::Remove(self.dir.clone(), name.into())));
        }
        Ok(())
    }

    fn wanted(&self, packet: &PacketId, prefix: &Prefix) -> impl Iterator<Item = Wanted<At>> {
        // A prefix lists at most 1,024 bodies.
        (0u16..).zip(&prefix.bodies).map(|(number, body)| Wanted {
            dir: self.dir.clone(),
            name: body_name(packet, number.into()),
            root: body.root,
            size: Some(body.size),
            at: (*packet, number, body.root),
        })
    }

    fn body_found(&self, packet: &PacketId, number: u16, root: Root, fault: Option<Fault>) -> Found {
        let number = usize::from(number);
        match (fault, self.rule) {
            (Some(fault), _) => self.condemned(&body_name(packet, number), packet, fault),
            (None, Rule::Arrived(_)) => {
                Found::new(self.at(&packet.to_string()), Fault::Waiting { number, root }, Repair::Nothing)
            }
            (None, _) => self.condemned(&packet.to_string(), packet, Fault::Missing { number, root }),
        }
    }

    fn condemned(&self, name: &str, packet: &PacketId, fault: Fault) -> Found {
        let repair = match fault {
            Fault::Unreadable(_) | Fault::NotAFile => Repair::Nothing,
            _ => Repair::Condemn(self.dir.clone(), *packet),
        };
        Found::new(self.at(name), fault, repair)
    }

    /// `None`: its reason in `bad/`.
    fn orphan(&self, packet: &PacketId, number: Option<u16>) -> Found {
        match number {
            Some(number) => {
                let repair = Repair::Orphan(self.dir.clone(), *packet, number);
                Found::new(self.at(&body_name(packet, number.into())), Fault::Orphan, repair)
            }
            None => {
                let name = crate::names::why_name(packet);
                Found::new(self.at(&name), Fault::Orphan, Repair::Remove(self.dir.clone(), name.into()))
            }
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    fn still_holds(&self, found: &Found) -> bool {
        let Some(name) = found.place.file_name() else { return true };
        let is_there = |name: &str| exists(&**self.dir, name).unwrap_or(true);
        match (&found.fault, Name::parse(name)) {
            (Fault::Missing { number, .. } | Fault::Waiting { number, .. }, Name::Envelope(packet)) => {
                is_there(&packet.to_string()) && !is_there(&body_name(&packet, *number))
            }
            (Fault::Orphan, Name::Body(packet, _) | Name::Why(packet)) => {
                self.dir.stat(name).is_ok() && !is_there(&packet.to_string())
            }
            _ => true,
        }
    }
}

/// The names in a folder of packets; 70 bytes for a packet with one body.
struct Listing {
    envelopes: Vec<PacketId>,
    bodies: Vec<(PacketId, u16)>,
    whys: Vec<PacketId>,
    strangers: Vec<Found>,
}

impl Listing {
    fn read(of: &Packets) -> durable::Result<Listing> {
        let mut listing =
            Listing { envelopes: Vec::new(), bodies: Vec::new(), whys: Vec::new(), strangers: Vec::new() };
        for entry in of.dir.list()? {
            let entry = entry?;
            let stranger = match Name::parse(&entry.name) {
                Name::Other => Some(Fault::Unknown),
                Name::Why(_) if !matches!(of.rule, Rule::Bad) => Some(Fault::Unknown),
                _ if entry.kind != Kind::File => Some(Fault::NotAFile),
                Name::Envelope(packet) => {
                    listing.envelopes.push(packet);
                    None
                }
                Name::Body(packet, number) => {
                    listing.bodies.push((packet, number));
                    None
                }
                Name::Why(packet) => {
                    listing.whys.push(packet);
                    None
                }
            };
            let place = of.place.join(&entry.name);
            listing.strangers.extend(stranger.map(|fault| Found::new(place, fault, Repair::Nothing)));
        }
        listing.envelopes.sort_unstable();
        listing.bodies.sort_unstable();
        Ok(listing)
    }

    /// The numbers of the bodies of `packet` that have a name here.
    fn numbers(&self, packet: &PacketId) -> impl Iterator<Item = u16> {
        let first = self.bodies.partition_point(|(owner, _)| owner < packet);
        self.bodies[first..].iter().take_while(move |(owner, _)| owner == packet).map(|(_, number)| *number)
    }

    fn orphans(&self) -> impl Iterator<Item = (PacketId, Option<u16>)> {
        let bodies = self.bodies.iter().map(|(packet, number)| (*packet, Some(*number)));
        let names = bodies.chain(self.whys.iter().map(|packet| (*packet, None)));
        names.filter(|(packet, _)| self.envelopes.binary_search(packet).is_err())
    }
}
