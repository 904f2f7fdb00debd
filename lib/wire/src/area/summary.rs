//! Summaries: what messages a node has, in so few bytes that another can tell what it lacks (format.md, section 14).
//!
//! The names of messages are dealt into buckets by their first bits, as many buckets as there are about messages; of each bucket only the sum of
//! what is in it is said. Who knows the messages of a bucket finds out which of them make up the sum.

use serde::{Deserialize, Serialize};

use crate::cbor;
use crate::hash::{Label, hash};
use crate::id::MsgHash;

/// Most bits that choose a bucket.
const BITS_MOST: u32 = 13;
/// Bytes of a sum.
const SUM_LEN: usize = 8;
/// In a bucket with more messages the sum is not taken apart.
const APART_MOST: usize = 12;

/// What messages of an area a node has: for each bucket, in order, the exclusive or of the sums of its messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "SummaryBytes", into = "SummaryBytes")]
pub struct Summary(Vec<u64>);

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct SummaryBytes(#[serde(with = "cbor::bytes")] Vec<u8>);

impl TryFrom<SummaryBytes> for Summary {
    type Error = &'static str;

    fn try_from(SummaryBytes(bytes): SummaryBytes) -> Result<Summary, &'static str> {
        let count = bytes.len() / SUM_LEN;
        if bytes.len() % SUM_LEN != 0 || !count.is_power_of_two() || count > 1 << BITS_MOST {
            return Err("a summary has 8 bytes for each of 1 to 8192 buckets, a power of two");
        }
        let sum = |chunk: &[u8]| chunk.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        Ok(Summary(bytes.chunks(SUM_LEN).map(sum).collect()))
    }
}

impl From<Summary> for SummaryBytes {
    fn from(summary: Summary) -> SummaryBytes {
        SummaryBytes(summary.0.iter().flat_map(|sum| sum.to_be_bytes()).collect())
    }
}

impl Summary {
    /// That of these messages.
    pub fn of(messages: &[MsgHash]) -> Summary {
        let count = messages.len().next_power_of_two().min(1 << BITS_MOST);
        let mut sums = vec![0; count];
        for message in messages {
            sums[bucket(message, count)] ^= sum(message);
        }
        Summary(sums)
    }

    /// Those of `ours` that whoever made the summary lacks. Of a bucket in which he has something that we lack, or which is too full to tell, all.
    pub fn lacks(&self, ours: &[MsgHash]) -> Vec<MsgHash> {
        let mut buckets = vec![Vec::new(); self.0.len()];
        for message in ours {
            buckets[bucket(message, self.0.len())].push(*message);
        }
        let theirs = buckets.into_iter().zip(&self.0);
        theirs.flat_map(|(ours, theirs)| complement(ours, *theirs)).collect()
    }
}

/// The messages of one bucket that are not among those whose sums make up `theirs`.
fn complement(ours: Vec<MsgHash>, theirs: u64) -> Vec<MsgHash> {
    if ours.len() > APART_MOST {
        let all = ours.iter().fold(0, |all, message| all ^ sum(message));
        return if all == theirs { Vec::new() } else { ours };
    }
    let sums: Vec<u64> = ours.iter().map(sum).collect();
    let is_in = |set: u32, number: usize| set >> number & 1 == 1;
    let sum_of =
        |set: u32| (0..sums.len()).filter(|number| is_in(set, *number)).fold(0, |all, number| all ^ sums[number]);
    let set = (0..1 << sums.len()).find(|set| sum_of(*set) == theirs).unwrap_or(0);
    ours.into_iter().enumerate().filter(|(number, _)| !is_in(set, *number)).map(|(_, message)| message).collect()
}

fn bucket(message: &MsgHash, count: usize) -> usize {
    let first = u16::from_be_bytes([message.as_bytes()[0], message.as_bytes()[1]]);
    usize::from(first) >> (16 - count.ilog2())
}

fn sum(message: &MsgHash) -> u64 {
    let digest = hash(Label::Have, &[message.as_bytes()]);
    digest[..SUM_LEN].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(from: u32, to: u32) -> Vec<MsgHash> {
        (from..to).map(|number| MsgHash::from_bytes(hash(Label::Msg, &[&number.to_be_bytes()]))).collect()
    }

    #[test]
    fn exactly_what_is_missing_is_found() {
        for (has, all) in [(0, 5), (5, 5), (100, 101), (1000, 1010), (5000, 8000), (0, 3000)] {
            let (theirs, ours) = (messages(0, has), messages(0, all));
            let mut lacks = Summary::of(&theirs).lacks(&ours);
            lacks.sort();
            let mut missing = messages(has, all);
            missing.sort();
            // In a bucket that is too full to tell all are sent.
            let extra = lacks.iter().filter(|message| !missing.contains(message)).count();
            assert!(missing.iter().all(|message| lacks.binary_search(message).is_ok()), "{has} of {all}");
            assert!(extra * 20 <= missing.len(), "{has} of {all}: {extra} too many");
        }
    }

    #[test]
    fn who_has_more_than_we_do_lacks_nothing_or_gets_a_bucket_too_much() {
        let (theirs, ours) = (messages(0, 1100), messages(100, 1050));
        let lacks = Summary::of(&theirs).lacks(&ours);
        assert!(lacks.len() < 300, "{}", lacks.len());
    }

    #[test]
    fn its_size_goes_with_the_number_of_messages_and_has_an_end() {
        for (count, len) in [(0, 8), (1, 8), (3, 32), (1000, 8192), (50_000, 65_536)] {
            let summary = Summary::of(&messages(0, count));
            let bytes = cbor::encode(&summary);
            assert!(bytes.len() >= len && bytes.len() <= len + 5, "{count}: {}", bytes.len());
            assert_eq!(cbor::decode::<Summary>(&bytes), Ok(summary));
        }
        for len in [0, 7, 24, 131_072] {
            assert!(cbor::decode::<Summary>(&cbor::bytes_item(&vec![0; len])).is_err(), "{len}");
        }
    }
}
