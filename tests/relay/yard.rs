//! A yard: nodes that share one stick, which goes round.
#![allow(dead_code, reason = "each test binary uses its part")]

use crate::common::{Node, Run, World};
use std::fs;
use std::path::{Path, PathBuf};

/// Nodes that all know each other, and a stick.
pub struct Yard {
    pub world: World,
    pub nodes: Vec<Node>,
    pub stick: PathBuf,
}

impl Yard {
    /// A yard with nodes of these names.
    pub fn new(names: &[&str]) -> Yard {
        let world = World::new();
        let nodes: Vec<Node> = names.iter().map(|name| world.node(name)).collect();
        world.introduce(&nodes.iter().collect::<Vec<_>>());
        let stick = world.make_dir("stick");
        Yard { world, nodes, stick }
    }

    /// One of them.
    pub fn node(&self, name: &str) -> &Node {
        self.nodes.iter().find(|node| node.name == name).expect("it is one of them")
    }

    /// Sends files of these contents from `from` with these options; the packets.
    pub fn send(&self, from: &str, options: &[&str], files: &[(&str, &[u8])]) -> Vec<String> {
        let paths = files.iter().map(|(name, content)| self.world.write(format!("out/{name}"), content));
        let sent = self.node(from).command(["mb-send"]).args(options).args(paths).run().ok();
        sent.lines().map(str::to_owned).collect()
    }

    /// The stick visits a node.
    pub fn visit(&self, name: &str) -> Run {
        self.node(name).command(["mb-xfer", "--all", "--toss"]).arg(&self.stick).run()
    }

    /// The stick visits nodes, and nothing goes wrong at any.
    pub fn round(&self, names: &[&str]) {
        names.iter().for_each(|name| drop(self.visit(name).ok()));
    }

    /// What was delivered at `at` from `from`, by name.
    pub fn delivered(&self, at: &str, from: &str, name: &str) -> Option<Vec<u8>> {
        fs::read(self.node(at).spool.join("incoming").join(from).join(name)).ok()
    }

    /// Names that wait at `at` to be handed to `to`.
    pub fn tx(&self, at: &str, to: &str) -> Vec<String> {
        names(&self.node(at).spool.join(self.node(to).id()).join("tx"))
    }

    /// Adds lines to the file that `at` has of `of`.
    pub fn set(&self, at: &str, of: &str, lines: &str) {
        let file = self.node(at).config.join(format!("nodes/{of}.toml"));
        let text = fs::read_to_string(&file).unwrap();
        fs::write(file, format!("{text}{lines}\n")).unwrap();
    }
}

/// Names that lie in a folder, sorted; none if it is not there.
pub fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Those of envelopes.
pub fn envelopes(names: &[String]) -> Vec<&String> {
    names.iter().filter(|name| !name.contains('.')).collect()
}
