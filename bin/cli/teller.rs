//! What moves, told to people.

use crate::Program;
use mb_carry::{CarryError, Event, Watch};
use mb_node::home::Home;
use mb_wire::id::NodeId;

/// Tells what moves with `-v`, what would move in a dry run, and what failed.
pub struct Teller<'a> {
    program: &'a mut Program,
    home: &'a Home,
    is_dry: bool,
}

impl<'a> Teller<'a> {
    /// Tells it as `program`, with the names that `home` knows.
    pub fn new(program: &'a mut Program, home: &'a Home, is_dry: bool) -> Teller<'a> {
        Teller { program, home, is_dry }
    }
}

impl Watch for Teller<'_> {
    fn moved(&mut self, event: Event) {
        let text = moved_text(self.home, event);
        match self.is_dry {
            true => self.program.note(format_args!("would move {text}")),
            false => self.program.detail(text),
        }
    }

    fn failed(&mut self, failure: CarryError) {
        self.program.fail(&failure);
    }
}

/// What moved, in words.
pub fn moved_text(home: &Home, event: Event) -> String {
    match event {
        Event::Out { packet, to, len } => format!("{packet}: out to {}, {len} bytes", node_name(home, &to)),
        Event::In { packet, len } => format!("{packet}: in, {len} bytes"),
        Event::Incomplete { packet, missing_count } => {
            format!("{packet}: in, but {missing_count} of its bodies are not on this stick: it stays there too")
        }
    }
}

/// What we call a node; its id if we do not know it.
pub fn node_name(home: &Home, node: &NodeId) -> String {
    home.node_by_id(node).map_or_else(|| node.to_string(), |known| known.name.clone())
}
