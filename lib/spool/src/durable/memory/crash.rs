//! What is found after the power was cut.

use super::dice::Dice;
use super::pending::{Change, add_needed, drop_lacking};
use super::state::{Bytes, Content, Folder, Id, Inode, Meta, Name, Slot, State};
use super::{actors::Actors, fate::Fate};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) fn after_kill(cut: &State) -> State {
    let mut state = cut.clone();
    state.fate = Fate::default();
    state.actors = Actors::none();
    state.locks.held.clear();
    for id in 0..state.inodes.len() {
        if state.inodes[id].as_mut().is_some_and(|inode| std::mem::take(&mut inode.handle_count) > 0) {
            state.free_if_gone(id);
        }
    }
    state
}

pub(super) fn after_crash(cut: &State, seed: u64) -> State {
    let mut state = State::new(seed);
    (state.clock, state.owner, state.locks.mode) = (cut.clock, cut.owner, cut.locks.mode);
    let mut luck = Luck { seed, dice: Dice::new(seed) };
    for system in &cut.systems {
        let index = state.add_system(system.options.clone());
        let kept = luck.kept(&system.pending);
        let root = state.systems[index].root;
        let mut revival = Revival { cut, state, index, kept, luck, revived: BTreeMap::new() };
        let meta = revival.luck.meta(cut.inode(system.root));
        set_meta(revival.state.inode_mut(root), meta);
        revival.folder(system.root, root);
        (state, luck) = (revival.state, revival.luck);
    }
    state
}

/// Decides what of the pending things reached the disk.
struct Luck {
    seed: u64,
    dice: Dice,
}

impl Luck {
    /// What the names mean that pending changes gave another meaning and that luck decided.
    fn kept(&mut self, pending: &[Change]) -> BTreeMap<(Id, Name), Option<Id>> {
        let chances = match self.seed {
            0 => 0,
            1 => 16,
            _ => [1, 4, 8, 12, 15][self.dice.between(0, 4)],
        };
        let mut marks: Vec<bool> = pending.iter().map(|_| self.dice.happens(chances)).collect();
        if self.seed == 1 {
            // What a failed sync lost is left out, with what cannot be there without it.
            marks.iter_mut().zip(pending).for_each(|(mark, change)| *mark &= !change.is_lost);
        }
        match self.seed > 1 && self.dice.happens(8) {
            true => add_needed(pending, &mut marks),
            false => drop_lacking(pending, &mut marks),
        }
        let marked = pending.iter().zip(marks).filter(|(_, mark)| *mark);
        marked.map(|(change, _)| ((change.dir, Arc::clone(&change.key)), change.value)).collect()
    }

    fn meta(&mut self, inode: &Inode) -> Meta {
        let keeps = |dice: &mut Dice, seed| match seed {
            0 => false,
            1 => !inode.is_lost,
            _ => dice.happens(8),
        };
        let mode = if keeps(&mut self.dice, self.seed) { inode.meta.mode } else { inode.durable_meta.mode };
        let modified = if keeps(&mut self.dice, self.seed) { inode.meta.modified } else { inode.durable_meta.modified };
        Meta { mode, modified }
    }

    /// The content of a file. What was synced and not touched since, everything before `dirty_from`, is always there.
    fn bytes(&mut self, bytes: &Bytes, is_lost: bool) -> Arc<Vec<u8>> {
        let Some(dirty_from) = bytes.dirty_from else { return Arc::clone(&bytes.durable) };
        let safe_len = dirty_from.min(bytes.durable.len());
        let until = |dice: &mut Dice| dice.between(safe_len, bytes.now.len());
        let found = match (self.seed, self.dice.below(6)) {
            (0, _) | (2.., 0) => Arc::clone(&bytes.durable),
            (1, _) | (2.., 1) => Arc::clone(&bytes.now),
            (_, 2) => Arc::new(bytes.now[..until(&mut self.dice)].to_vec()),
            (_, 3) => {
                let mut zeroed = bytes.now[..until(&mut self.dice)].to_vec();
                zeroed.resize(bytes.now.len(), 0);
                Arc::new(zeroed)
            }
            (_, 4) => Arc::new(bytes.now[..safe_len].to_vec()),
            _ => {
                let mut mixed = bytes.now[..until(&mut self.dice)].to_vec();
                mixed.extend_from_slice(bytes.durable.get(mixed.len()..).unwrap_or_default());
                Arc::new(mixed)
            }
        };
        match is_lost && found == bytes.now {
            true => Arc::clone(&bytes.durable),
            false => found,
        }
    }
}

/// Copies what is left of one file system into the new state.
struct Revival<'a> {
    cut: &'a State,
    state: State,
    index: usize,
    kept: BTreeMap<(Id, Name), Option<Id>>,
    luck: Luck,
    /// The new places of the inodes that were met already.
    revived: BTreeMap<Id, Id>,
}

impl Revival<'_> {
    fn folder(&mut self, old_dir: Id, new_dir: Id) {
        for (key, slot) in &self.cut.folder(old_dir).slots {
            let kept = self.kept.get(&(old_dir, Arc::clone(key))).copied();
            let Some(old) = kept.unwrap_or(slot.durable) else { continue };
            let id = self.inode(old, new_dir, key);
            self.state.inode_mut(id).name_count += 1;
            let slot = Slot { shown: Arc::clone(&slot.shown), now: Some(id), durable: Some(id), last_change: 0 };
            self.state.folder_mut(new_dir).slots.insert(Arc::clone(key), slot);
        }
    }

    fn inode(&mut self, old: Id, parent: Id, key: &Name) -> Id {
        if let Some(id) = self.revived.get(&old) {
            return *id;
        }
        let inode = self.cut.inode(old);
        let content = match &inode.content {
            Content::File(bytes) => Content::File(self.bytes(bytes, inode.is_lost)),
            Content::Folder(_) => Content::Folder(Folder::new(parent, Arc::clone(key))),
            Content::Symlink(target) => Content::Symlink(target.clone()),
        };
        let id = self.state.add_inode(self.index, 0, content);
        let meta = self.luck.meta(inode);
        set_meta(self.state.inode_mut(id), meta);
        self.revived.insert(old, id);
        if inode.folder().is_some() {
            self.folder(old, id);
        }
        id
    }

    fn bytes(&mut self, bytes: &Bytes, is_lost: bool) -> Bytes {
        let found = self.luck.bytes(bytes, is_lost);
        self.state.systems[self.index].used_len += found.len() as u64;
        Bytes { now: Arc::clone(&found), durable: found, dirty_from: None }
    }
}

fn set_meta(inode: &mut Inode, meta: Meta) {
    (inode.meta, inode.durable_meta) = (meta, meta);
}
