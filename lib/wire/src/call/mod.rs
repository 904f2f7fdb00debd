//! What two nodes say to each other in a live call (format.md, section 9), from the inside out: the primitives that the
//! Noise framework is given, the handshake with the frames that follow it, and the messages in these. What is said when is
//! the exchange's business (`mb-carry`).

mod noise;
// Two messages, and both sides know each other.
pub mod handshake;
// What the frames hold.
pub mod message;

#[cfg(test)]
mod tests;
