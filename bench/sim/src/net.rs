//! Nodes: each calls a few neighbours, and knows the cards of all.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use mb_node::config::{KnownArea, KnownNode};
use mb_node::home::AreaSecrets;
use mb_node::keys::ExchangeKeys;
use mb_node::toss::Nodes;
use mb_node::toss::decide::Known;
use mb_wire::card::{Card, ExchangeKey};
use mb_wire::envelope::Address;
use mb_wire::id::{AreaId, NodeId};
use mb_wire::key::{ExchangeSecret, NodeSecrets, Seed};
use mb_wire::route::ROUTE_MOST;

use crate::random::Random;

pub const TODAY: u32 = 20_784;
/// Neighbours of a node: two on a ring, so that all are joined, and others by chance.
const NEIGHBOURS: usize = 8;
/// `[link] most_packets` in every node's file.
const QUOTA: u64 = 2;

pub struct Net {
    pub nodes: Vec<Node>,
    known: BTreeMap<NodeId, (usize, KnownNode)>,
}

pub struct Node {
    pub secrets: NodeSecrets,
    pub keys: ExchangeKeys,
    pub address: Address,
    pub neighbours: Vec<usize>,
}

impl Nodes for Net {
    fn node(&self, id: &NodeId) -> Option<&KnownNode> {
        self.known.get(id).map(|(_, node)| node)
    }

    fn named(&self, name: &str) -> Option<&KnownNode> {
        let number: usize = name.strip_prefix('n')?.parse().ok()?;
        self.node(&self.nodes.get(number)?.address.id)
    }

    fn area(&self, _: &AreaId) -> Option<&KnownArea> {
        None
    }

    fn areas(&self) -> Vec<&KnownArea> {
        Vec::new()
    }
}

/// What everybody calls a node.
pub fn name(number: usize) -> String {
    format!("n{number}")
}

impl Net {
    pub fn new(node_count: usize, random: &mut Random) -> Net {
        let mut net = Net { nodes: Vec::with_capacity(node_count), known: BTreeMap::new() };
        for number in 0..node_count {
            let secrets = NodeSecrets::from_seed(&Seed::from_bytes(random.bytes()));
            let exchange = ExchangeSecret::from_random(random.bytes());
            let public = exchange.public();
            let keys = vec![ExchangeKey { suite: 1, public, use_until: 0, gone_after: 0 }];
            let name = name(number);
            let card = Card::issue(&secrets, keys, &name, 1, 0).expect("a sound card");
            let mut known = KnownNode::new(name, card);
            known.link.most_packets = Some(QUOTA);
            net.known.insert(secrets.id(), (number, known));
            let address = Address { id: secrets.id(), exchange: public };
            net.nodes.push(Node { secrets, keys: [exchange].into_iter().collect(), address, neighbours: Vec::new() });
        }
        net.join(random);
        net
    }

    fn join(&mut self, random: &mut Random) {
        let count = self.nodes.len();
        for number in 0..count {
            self.join_two(number, (number + 1) % count);
        }
        // Some tries meet who has enough; there are others.
        for _ in 0..count * NEIGHBOURS {
            let (one, other) = (random.below(count), random.below(count));
            let has_room = |node: usize| self.nodes[node].neighbours.len() < NEIGHBOURS;
            if one != other && has_room(one) && has_room(other) && !self.nodes[one].neighbours.contains(&other) {
                self.join_two(one, other);
            }
        }
    }

    fn join_two(&mut self, one: usize, other: usize) {
        self.nodes[one].neighbours.push(other);
        self.nodes[other].neighbours.push(one);
    }

    /// Pairs of neighbours.
    pub fn edge_count(&self) -> usize {
        self.nodes.iter().map(|node| node.neighbours.len()).sum::<usize>() / 2
    }

    /// What a node knows, who knows `nodes` and has these secrets.
    pub fn known<'a>(&'a self, at: usize, nodes: &'a dyn Nodes, area_secrets: &'a AreaSecrets) -> Known<'a> {
        let Node { keys, address, .. } = &self.nodes[at];
        Known {
            own: address.id,
            today: TODAY,
            is_doubted: false,
            floor: 0,
            nodes,
            list: None,
            keys,
            area_secrets,
            rules: Arc::default(),
            now: 0,
        }
    }

    pub fn number(&self, id: &NodeId) -> usize {
        self.known.get(id).expect("everybody is known").0
    }

    /// A shortest way, one of them by chance: the relays and the recipient. None if it is longer than a route may be.
    pub fn way(&self, from: usize, to: usize, random: &mut Random) -> Option<Vec<usize>> {
        let mut came_by = vec![None; self.nodes.len()];
        let mut next = VecDeque::from([from]);
        while let Some(node) = next.pop_front() {
            if node == to {
                break;
            }
            let mut neighbours = self.nodes[node].neighbours.clone();
            random.shuffle(&mut neighbours);
            for neighbour in neighbours {
                if neighbour != from && came_by[neighbour].is_none() {
                    came_by[neighbour] = Some(node);
                    next.push_back(neighbour);
                }
            }
        }
        let mut way = vec![to];
        while let Some(before) = came_by[*way.last().expect("it has an end")].filter(|before| *before != from) {
            way.push(before);
        }
        way.reverse();
        (way.len() <= ROUTE_MOST).then_some(way)
    }
}
