//! What happens at a node: its configuration, and what it does with what arrives.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

/// The configuration files, from text to values.
pub mod config;
/// A node's configuration folder: found, opened, made, and the known nodes in it.
pub mod home;
/// The node's exchange keys.
pub mod keys;
/// The relays by which a packet goes.
pub mod way;
/// Send: files, folders and streams become packets.
pub mod send;
/// What somebody may ask for, found and opened.
pub mod share;
/// Names from outside, reduced to what is safe here.
pub mod name;
/// Toss: what came is delivered, waits, or goes to `bad/`.
pub mod toss;
/// Commands that letters ask for, as processes.
pub mod exec;
/// How far packets of ours have come.
pub mod receipts;
/// Something to say to neighbours.
pub mod tell;
/// Who has asked for an area.
pub mod subscribe;
/// A packet that should not have come.
pub mod complain;
/// Which known nodes are to be called now.
pub mod due;
/// The rules of moderated areas.
pub mod rules;
/// A neighbour is asked for messages that were missed.
pub mod catch_up;
/// Their owners change them.
pub mod moderate;
/// What is kept of an area, for people to read.
pub mod posts;
/// A packet, layer by layer, as far as our keys reach.
pub mod show;
