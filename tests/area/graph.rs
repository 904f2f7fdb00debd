//! Nodes that subscribe to each other's copies of one area, and someone who carries packets between any two of them.
#![allow(dead_code, reason = "each test binary uses its part")]

use crate::common::{Node, World};
use std::fs;
use std::path::PathBuf;

/// The name of the area at each node.
pub const AREA: &str = "nodelist-updates";

/// What a node may do in the area.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It has the reader card.
    Reader,
    /// It has the relay card.
    Relay,
}

/// The nodes of a world, all of which know each other.
pub struct Graph {
    pub world: World,
    pub nodes: Vec<Node>,
}

impl Graph {
    /// The peer manual's own graph: A: B, D; B without keys: C, D, A; C: B; D: A, B.
    pub fn of_the_manual() -> Graph {
        let subscribers: [(&str, Role, &[&str]); 4] = [
            ("a", Role::Reader, &["b", "d"]),
            ("b", Role::Relay, &["c", "d", "a"]),
            ("c", Role::Reader, &["b"]),
            ("d", Role::Reader, &["a", "b"]),
        ];
        Graph::new(&subscribers, "open")
    }

    /// The first node makes the area; the others join it, and each has its subscribers. Readers' files go to `NAME/in`.
    pub fn new(nodes: &[(&str, Role, &[&str])], mode: &str) -> Graph {
        let world = World::in_memory();
        let made: Vec<Node> = nodes.iter().map(|(name, ..)| world.node(name)).collect();
        world.introduce(&made.iter().collect::<Vec<_>>());
        let graph = Graph { world, nodes: made };
        let owner = &graph.nodes[0];
        owner.run(["mb-area", "new", AREA, "--mode", mode]).ok();
        let relay_card = owner.run(["mb-area", "card", AREA]).ok();
        // Of a moderated area there is none.
        let has_readers = nodes[1..].iter().any(|(_, role, _)| *role == Role::Reader);
        let reader_card =
            if has_readers { owner.run(["mb-area", "card", AREA, "--reader"]).ok() } else { String::new() };
        for ((_, role, subscribers), node) in nodes.iter().zip(&graph.nodes) {
            if node.name != owner.name {
                let card = if *role == Role::Reader { &reader_card } else { &relay_card };
                node.command(["mb-area", "join", AREA]).stdin(card).run().ok();
            }
            if !subscribers.is_empty() {
                node.command(["mb-area", "subscribe", AREA]).args(*subscribers).run().silent();
            }
            if *role == Role::Reader {
                let folder = graph.world.make_dir(format!("{}/in", node.name));
                let setting = format!("folder={}", folder.display());
                node.run(["mb-area", "set", AREA, &setting]).silent();
            }
        }
        graph
    }

    pub fn node(&self, name: &str) -> &Node {
        self.nodes.iter().find(|node| node.name == name).expect("a node of the graph")
    }

    /// Sends a file of that name and content to the area.
    pub fn post(&self, at: &str, name: &str, content: &[u8]) {
        let file = self.world.write(format!("{at}/out/{name}"), content);
        self.node(at).command(["mb-send", "-a", &format!("{AREA}:")]).arg(file).run().ok();
    }

    /// Carries what `from` has for `to`, and tosses there.
    pub fn carry(&self, from: &str, to: &str) {
        let stick = self.world.make_dir(format!("stick-{from}-{to}"));
        self.node(from).command(["mb-xfer", "--out", "--node", to]).arg(&stick).run().ok();
        self.node(to).command(["mb-xfer", "--in", "--toss"]).arg(&stick).run().ok();
    }

    /// Each neighbour's packets to each, in this order of nodes; `true` if anything moved.
    pub fn round(&self, order: &[&str]) -> bool {
        let mut moved = false;
        for from in order {
            for to in order.iter().filter(|to| *to != from) {
                if !self.tx(from, to).is_empty() {
                    moved = true;
                    self.carry(from, to);
                }
            }
        }
        moved
    }

    /// The packets that wait at `from` for `to`.
    pub fn tx(&self, from: &str, to: &str) -> Vec<String> {
        let folder = self.node(from).spool.join(self.node(to).id()).join("tx");
        envelopes(folder)
    }

    /// The names of what the area has delivered at a node.
    pub fn delivered(&self, at: &str) -> Vec<String> {
        listed(self.world.path(format!("{at}/in")))
    }

    /// No packet waits anywhere, and nothing went bad.
    pub fn assert_quiet(&self) {
        for node in &self.nodes {
            node.run(["mb-check"]).silent();
            assert!(!node.spool.join("bad").exists(), "at {}", node.name);
            assert!(envelopes(node.spool.join("self/rx")).is_empty(), "at {}", node.name);
            for other in &self.nodes {
                for queue in ["tx", "rx", "wait"] {
                    let left = envelopes(node.spool.join(other.id()).join(queue));
                    assert!(left.is_empty(), "at {} of {}: {queue}: {left:?}", node.name, other.name);
                }
            }
        }
    }
}

/// The names in a folder, sorted; none if it is not there.
pub fn listed(folder: PathBuf) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The envelopes in a queue.
pub fn envelopes(folder: PathBuf) -> Vec<String> {
    listed(folder).into_iter().filter(|name| name.len() == 52).collect()
}
