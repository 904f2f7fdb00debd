//! Envelopes, from outside in.

use mb_wire::cbor;
use mb_wire::envelope::{CONFIRM_MOST, Content, EnvelopeError, Opened, PREFIX_MOST, open, packet_id, read_prefix};
use mb_wire::report::{REPORTS_MOST, Signed, WHY_MOST};
use mb_wire::route::Step;
use mb_wire::seal::SealError;
use mb_wire::size::{ENVELOPE_MOST, class};

use crate::hand::{self, ALICE, BOB, EXCHANGE, FIXED_HEAD};
use crate::input::Input;

/// Bytes that a sealed part has at least.
const SEALED_LEAST: usize = 20;

/// 1: a prefix, in a file that is right otherwise; else the file as it comes.
pub fn prefix(data: &[u8]) {
    let mut input = Input(data);
    let file = match input.byte() {
        1 => file_around(input.0),
        _ => data.to_vec(),
    };
    let _ = packet_id(&file);
    if let Ok(prefix) = read_prefix(&file) {
        assert!(prefix.nice > 0 && prefix.suite == 1 && prefix.bodies.len() <= 1024);
        assert!(file.len() <= ENVELOPE_MOST && class(file.len() as u64) == file.len() as u64);
        let (content, ..) = cbor::split_bytes(&file, PREFIX_MOST).expect("a prefix was read from it");
        // Of each key one spelling: what was read says all that there is.
        assert_eq!(content.len(), prefix_len(&prefix));
    }
}

fn file_around(content: &[u8]) -> Vec<u8> {
    let mut file = [cbor::bytes_item(content), vec![0xf6]].concat();
    file.resize(class((file.len() + SEALED_LEAST) as u64) as usize, 0);
    file
}

/// How long the encoding of a prefix is.
fn prefix_len(prefix: &mb_wire::envelope::Prefix) -> usize {
    use ciborium::Value;
    let bodies = prefix.bodies.iter().map(|b| Value::Array(vec![hand::bytes(*b.root.as_bytes()), b.size.into()]));
    let map = hand::map([
        ("v", 1.into()),
        ("to", hand::bytes(*prefix.to.as_bytes())),
        ("end", prefix.end.into()),
        ("tag", hand::bytes(*prefix.tag.as_bytes())),
        ("nice", prefix.nice.into()),
        ("share", hand::bytes(prefix.share)),
        ("suite", prefix.suite.into()),
        ("bodies", Value::Array(bodies.collect())),
        ("commit", hand::bytes(prefix.commit)),
    ]);
    cbor::encode(&map).len()
}

/// A whole file, all cryptography honest.
pub fn envelope(data: &[u8]) {
    if let Ok(opened) = open_as_bob(data) {
        let _ = read(opened);
    }
}

/// 0: the inner part; 1: all of the plaintext; else its content, from alice and honestly signed. Sealed to bob.
pub fn inner(data: &[u8]) {
    let mut input = Input(data);
    let door = input.byte();
    let (plain, is_signed) = match door {
        0 => (hand::behind_length(input.0), false),
        1 => (input.0.to_vec(), false),
        hops => (hand::behind_length(&hand::with_hop(&FIXED_HEAD, hops, input.0)), true),
    };
    match open_as_bob(&hand::seal_plain(&FIXED_HEAD, &plain)) {
        Ok(opened) => {
            assert!((1..=16).contains(&opened.hops));
            let refused = read(opened);
            assert!(!is_signed || !matches!(refused, Some(EnvelopeError::Signature(_) | EnvelopeError::Key(_))));
        }
        // The seal is ours, and opens.
        Err(EnvelopeError::Seal(error)) => {
            assert!(matches!(error, SealError::InnerLength | SealError::Class { .. } | SealError::Padding), "{error}");
        }
        Err(error) => assert!(!matches!(error, EnvelopeError::Prefix(_)), "{error}"),
    }
}

fn open_as_bob(file: &[u8]) -> Result<Opened, EnvelopeError> {
    open(file, BOB.id(), |tag| (tag == EXCHANGE.tag()).then_some(&*EXCHANGE))
}

/// Reads on to the letter; what is refused on the way.
fn read(opened: Opened) -> Option<EnvelopeError> {
    let prefix = opened.prefix.clone();
    match opened.verify_hop(&ALICE.identity_key()) {
        Ok(Content::Letter(letter)) => {
            let _ = letter.verify(&ALICE.identity_key(), &prefix);
            None
        }
        Ok(Content::Area(message)) => {
            assert_eq!(message.head.bodies, prefix.bodies);
            assert!(prefix.end <= message.head.end);
            let _ = message.verify_post();
            if let Ok((letter, frame)) = message.open(&EXCHANGE) {
                let _ = letter.verify(&ALICE.identity_key(), frame);
            }
            None
        }
        Ok(Content::Routed(routed)) => {
            if let Ok(Step::Here(here)) = routed.open(BOB.id(), &EXCHANGE, &prefix) {
                let _ = here.letter.verify(&ALICE.identity_key(), here.frame);
            }
            None
        }
        Ok(Content::Statement(_)) => None,
        Ok(Content::Confirm(packets)) => {
            assert!((1..=CONFIRM_MOST).contains(&packets.len()));
            None
        }
        Ok(Content::Reports(reports)) => {
            assert!((1..=REPORTS_MOST).contains(&reports.len()));
            for report in &reports {
                if let Ok(signed) = Signed::parse(&report.statement) {
                    assert!(signed.receipt.why.len() <= WHY_MOST);
                }
            }
            None
        }
        Err(error) => Some(error),
    }
}
