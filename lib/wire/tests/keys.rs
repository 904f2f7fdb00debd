//! Ids, seeds, exchange keys and cards: their texts and files come back as they were, and nothing else is taken.

mod world;

use mb_wire::card::{Card, CardError, ExchangeKey};
use mb_wire::hash::{Hasher, Label, hash, keyed};
use mb_wire::id::{KeyTag, LetterId, NodeId, PacketId, Root};
use mb_wire::key::{ExchangeSecret, KeyError, NodeSecrets, Seed};
use mb_wire::sealed::{ArgonCost, open_sealed_seed, seal_seed};
use mb_wire::statement::Statement;
use mb_wire::text::TextError;
use proptest::prelude::*;
use world::node;

fn keys(days: &[(u32, u32)]) -> Vec<ExchangeKey> {
    let key = |(number, &(use_until, gone_after)): (u8, &(u32, u32))| {
        let public = ExchangeSecret::from_random([number; 32]).public();
        ExchangeKey { suite: 1, public, use_until, gone_after }
    };
    (1..).zip(days).map(key).collect()
}

fn card() -> Card {
    Card::issue(&node(1), keys(&[(0, 0)]), "alice", 1, 1_700_000_000).unwrap()
}

fn cheap() -> ArgonCost {
    ArgonCost::new(8, 1, 1).unwrap()
}

#[test]
fn a_card_comes_back_from_its_text() {
    let card = card();
    let text = card.to_text();
    assert!(text.starts_with("mbcard1"));
    assert_eq!(Card::parse(&text).as_ref(), Ok(&card));
    assert_eq!(Card::parse(&text.to_uppercase()).as_ref(), Ok(&card));
    assert_eq!(Card::from_bytes(card.as_bytes()).as_ref(), Ok(&card));
    assert_eq!(card.id(), node(1).id());
    assert_eq!(card.call, node(1).call_public());
}

#[test]
fn every_mistyped_character_of_a_card_is_found() {
    let text = card().to_text();
    for at in 0..text.len() {
        let mut typed = text.clone().into_bytes();
        typed[at] = if typed[at] == b'q' { b'p' } else { b'q' };
        let error = Card::parse(std::str::from_utf8(&typed).unwrap()).unwrap_err();
        assert!(matches!(error, CardError::Text(_)), "{at}: {error}");
    }
    let lost = Card::parse(&text[..text.len() - 1]).unwrap_err();
    assert_eq!(lost.to_string(), "checksum does not match: a character was mistyped or lost");
}

/// With the checksum made anew, so that the signature must find it.
///
/// Threat: 8.
#[test]
fn every_flipped_bit_of_a_card_is_refused() {
    let mut bytes = card().as_bytes().to_vec();
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(Card::from_bytes(&bytes).is_err(), "bit {bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    let last = bytes.len() - 1;
    bytes[last - 40] ^= 1;
    assert_eq!(Card::from_bytes(&bytes), Err(CardError::Signature));
    assert!((0..bytes.len()).all(|len| Card::from_bytes(&bytes[..len]).is_err()));
}

#[test]
fn an_error_says_what_was_pasted_instead_of_a_card() {
    let says = |text: &str| Card::parse(text).unwrap_err().to_string();
    assert_eq!(says(&node(1).id().to_string()), "does not begin with \"mbcard1\": this is a node id");
    assert!(says(&Seed::from_bytes([1; 32]).to_text()).ends_with("this is a secret key"));
    assert!(says("hello").ends_with("this is something else"));
    assert!(says(&format!("{}\n", card().to_text())).contains("character that cannot be in it: \\n"));
    assert!(says(&card().to_text().replacen('m', "M", 1)).contains("upper and lower case"));
    assert!(says(&"q".repeat(1024)).contains("longer than 1023"));
}

#[test]
fn no_card_that_breaks_a_limit_is_issued() {
    let issue = |keys, name: &str, version, created| Card::issue(&node(1), keys, name, version, created).err();
    assert_eq!(issue(keys(&[]), "a", 1, 0), Some(CardError::KeyCount(0)));
    assert_eq!(issue(keys(&[(0, 0); 9]), "a", 1, 0), Some(CardError::KeyCount(9)));
    let longest = issue(keys(&[(u32::MAX, u32::MAX); 8]), &"n".repeat(32), (1 << 53) - 1, (1 << 53) - 1);
    assert!(matches!(longest, Some(CardError::Long(_))), "{longest:?}");
    assert_eq!(issue(keys(&[(20_000, 20_090); 8]), &"n".repeat(12), 1, 1_700_000_000), None);
    for name in ["", "A", "-a", ".a", "_a", "a b", "é", &"n".repeat(33)] {
        assert_eq!(issue(keys(&[(0, 0)]), name, 1, 0), Some(CardError::Name), "{name}");
    }
    for (version, created) in [(0, 0), (1 << 53, 0), (1, 1 << 53)] {
        assert!(issue(keys(&[(0, 0)]), "a", version, created).unwrap().to_string().contains("out of range"));
    }
    let mut of_suite_2 = keys(&[(0, 0)]);
    of_suite_2[0].suite = 2;
    assert_eq!(issue(of_suite_2, "a", 1, 0), Some(CardError::Suite(2)));
}

#[test]
fn a_sender_takes_the_newest_key_that_may_be_used() {
    let pick = |days: &[(u32, u32)], today| {
        let card = Card::issue(&node(1), keys(days), "a", 1, 0).unwrap();
        let picked = card.exchange_key(today).ok().map(|key| key.public);
        picked.map(|public| card.keys.iter().position(|key| key.public == public).unwrap())
    };
    assert_eq!(pick(&[(0, 0)], u32::MAX), Some(0));
    assert_eq!(pick(&[(10, 20), (30, 40)], 10), Some(1));
    assert_eq!(pick(&[(50, 60), (30, 40)], 31), Some(0));
    assert_eq!(pick(&[(10, 20), (30, 40)], 30), Some(1));
    assert_eq!(pick(&[(10, 20), (30, 40)], 31), None);
    assert_eq!(pick(&[(0, 0), (0, 40)], 41), None);
}

#[test]
fn a_seed_comes_back_from_its_texts() {
    let seed = Seed::from_bytes([7; 32]);
    let id = NodeSecrets::from_seed(&seed).id();
    let text = seed.to_text();
    assert!(text.starts_with("mbsecret1"));
    assert_eq!(NodeSecrets::from_seed(&Seed::from_text(&text).unwrap()).id(), id);
    let sealed = seal_seed(&seed, b"a passphrase", [9; 16], cheap());
    let opened = open_sealed_seed(&sealed, b"a passphrase").unwrap();
    assert_eq!(NodeSecrets::from_seed(&opened).id(), id);
    assert_eq!(open_sealed_seed(&sealed, b"another").unwrap_err(), KeyError::Passphrase);
    assert_eq!(format!("{seed:?}"), "Seed");
}

/// Threat: 31.
#[test]
fn costs_beyond_the_limits_are_refused_before_the_work() {
    let refused = |m, t, p| matches!(ArgonCost::new(m, t, p), Err(KeyError::Cost(_)));
    assert!(refused(7, 1, 1) && refused(1 << 20 | 1, 1, 1) && refused(8, 0, 1) && refused(8, 17, 1));
    assert!(refused(8, 1, 0) && refused(1 << 20, 1, 17) && refused(8, 1, 2) && refused(u32::MAX, 1, u32::MAX));
    assert!(!refused(8, 1, 1) && !refused(1 << 20, 16, 16) && !refused(128, 16, 16));
}

#[test]
fn an_exchange_key_comes_back_from_its_file() {
    let (alice, secret) = (node(1), ExchangeSecret::from_random([7; 32]));
    let mut file = secret.to_file(&alice);
    assert_eq!(ExchangeSecret::from_file(&file, &alice).unwrap().public(), secret.public());
    assert_eq!(ExchangeSecret::from_file(&file, &node(2)).unwrap_err(), KeyError::Box);
    for bit in 0..file.len() * 8 {
        file[bit / 8] ^= 1 << (bit % 8);
        assert!(ExchangeSecret::from_file(&file, &alice).is_err(), "bit {bit}");
        file[bit / 8] ^= 1 << (bit % 8);
    }
    assert_eq!(secret.tag().to_string().len(), 13);
}

#[test]
fn ids_have_one_spelling() {
    let node = NodeId::from_bytes([7; 32]);
    assert_eq!(node.to_string().parse(), Ok(node));
    assert_eq!(node.to_string().to_uppercase().parse(), Ok(node));
    assert!(matches!(node.to_string()[1..].parse::<NodeId>(), Err(TextError::Kind { .. })));
    let packet = PacketId::from_bytes([0xff; 32]);
    let text = packet.to_string();
    assert_eq!((text.len(), text.parse()), (52, Ok(packet)));
    assert!(text.to_uppercase().parse::<PacketId>().is_err(), "upper case");
    assert!(text.replace(&text[51..], "r").parse::<PacketId>().is_err(), "bits that belong to nothing");
    assert!(format!("{text}=").parse::<PacketId>().is_err(), "padding");
    assert!(text[..51].parse::<PacketId>().is_err(), "too short");
    let hrp = bech32::Hrp::parse("mbn").unwrap();
    let five_bytes = bech32::encode::<bech32::Bech32m>(hrp, &[7; 5]).unwrap();
    assert_eq!(five_bytes.parse::<NodeId>(), Err(TextError::Length { expected: 32, found: 5 }));
    let older_checksum = bech32::encode::<bech32::Bech32>(hrp, &[7; 32]).unwrap();
    assert_eq!(older_checksum.parse::<NodeId>(), Err(TextError::Checksum));
}

#[test]
fn hashes_are_blake2b_with_label_and_key() {
    let simd = |key: &[u8], label: Label, input: &[u8]| {
        let mut params = blake2b_simd::Params::new();
        params.hash_length(32).personal(&label.padded()).key(key).hash(input).as_bytes().to_vec()
    };
    let input = [3; 300];
    assert_eq!(hash(Label::Node, &[&input]).to_vec(), simd(&[], Label::Node, &input));
    assert_eq!(keyed(&[9; 32], Label::Coins, &[&input]).to_vec(), simd(&[9; 32], Label::Coins, &input));
    assert_eq!(keyed(&[9; 32], Label::Coins, &[]).to_vec(), simd(&[9; 32], Label::Coins, &[]));
    let mut hasher = Hasher::new(Label::Packet);
    input.chunks(7).for_each(|part| hasher.update(part));
    assert_eq!(hasher.finish(), hash(Label::Packet, &[&input[..100], &input[100..]]));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_id_comes_back_from_its_text(bytes: [u8; 32], short: [u8; 8]) {
        prop_assert_eq!(NodeId::from_bytes(bytes).to_string().parse(), Ok(NodeId::from_bytes(bytes)));
        prop_assert_eq!(Root::from_bytes(bytes).to_string().parse(), Ok(Root::from_bytes(bytes)));
        prop_assert_eq!(LetterId::from_bytes(bytes).to_string().parse(), Ok(LetterId::from_bytes(bytes)));
        prop_assert_eq!(KeyTag::from_bytes(short).to_string().parse(), Ok(KeyTag::from_bytes(short)));
    }

    #[test]
    fn any_card_comes_back(days in proptest::collection::vec((any::<u32>(), any::<u32>()), 1..6),
        name in "[a-z0-9][a-z0-9._-]{0,31}", version in 1_u64..1 << 53, created in 0_u64..1 << 53) {
        let card = Card::issue(&node(1), keys(&days), &name, version, created).unwrap();
        prop_assert_eq!(Card::parse(&card.to_text()), Ok(card));
    }

    /// Threat: 7.
    #[test]
    fn arbitrary_text_and_bytes_never_panic(text in "\\PC{0,80}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(text.parse::<NodeId>().is_err() && text.parse::<Root>().is_err());
        prop_assert!(Card::parse(&text).is_err() && Seed::from_text(&text).is_err());
        prop_assert!(Card::from_bytes(&bytes).is_err() && Statement::parse(&bytes).is_err());
        prop_assert!(open_sealed_seed(&text, &bytes).is_err());
        prop_assert!(ExchangeSecret::from_file(&bytes, &node(1)).is_err());
    }
}
