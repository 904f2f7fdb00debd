//! Strict decoding: one spelling, no trailing bytes, no claimed length believed.
//!
//! Threat: 7.

use mb_wire::cbor::{CborError, bytes_head, bytes_item, decode, encode, split_bytes};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    n: u64,
    list: Vec<(u32, String)>,
}

fn sample(bytes: &[u8]) -> Result<Sample, CborError> {
    decode(bytes)
}

fn hex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.replace(' ', "").as_bytes()).unwrap()
}

#[test]
fn only_one_spelling_is_taken() {
    let good = hex("a2 616e 07 646c697374 81 82 01 6161");
    let value = Sample { n: 7, list: vec![(1, "a".into())] };
    assert_eq!(encode(&value), good);
    assert_eq!(sample(&good), Ok(value));
    let spellings = [
        ("integer not shortest", "a2 616e 1807 646c697374 81 82 01 6161"),
        ("array length not shortest", "a2 616e 07 646c697374 9801 82 01 6161"),
        ("map length not shortest", "b802 616e 07 646c697374 81 82 01 6161"),
        ("text length not shortest", "a2 78016e 07 646c697374 81 82 01 6161"),
        ("indefinite array", "a2 616e 07 646c697374 9f 82 01 6161 ff"),
        ("indefinite map", "bf 616e 07 646c697374 81 82 01 6161 ff"),
        ("indefinite text", "a2 616e 07 646c697374 81 82 01 7f6161ff"),
        ("keys out of order", "a2 646c697374 81 82 01 6161 616e 07"),
        ("tag", "a2 616e c1 07 646c697374 81 82 01 6161"),
        ("bignum", "a2 616e c24107 646c697374 81 82 01 6161"),
        ("tag around all", "d9d9f7 a2 616e 07 646c697374 81 82 01 6161"),
        ("one byte behind", "a2 616e 07 646c697374 81 82 01 6161 00"),
        ("array longer than the tuple", "a2 616e 07 646c697374 81 83 01 6161 02"),
        ("struct as array", "82 07 81 82 01 6161"),
        ("key as bytes", "a2 416e 07 646c697374 81 82 01 6161"),
    ];
    for (what, spelling) in spellings {
        assert!(sample(&hex(spelling)).is_err(), "{what}");
    }
}

#[test]
fn other_structures_are_refused() {
    let others = [
        ("key twice", "a3 616e 07 616e 07 646c697374 80"),
        ("unknown key", "a3 616e 07 646c697374 80 6478787878 00"),
        ("missing key", "a1 616e 07"),
        ("null", "a2 616e f6 646c697374 80"),
        ("float", "a2 616e f94700 646c697374 80"),
        ("negative", "a2 616e 20 646c697374 80"),
        ("too great", "a2 616e 07 646c697374 81 82 1b0000000100000000 6161"),
        ("not UTF-8", "a2 616e 07 646c697374 81 82 01 61ff"),
        ("empty", ""),
        ("reserved", "a2 616e 1c"),
        ("break alone", "ff"),
    ];
    for (what, other) in others {
        assert!(sample(&hex(other)).is_err(), "{what}");
    }
}

#[test]
fn claimed_lengths_cost_nothing() {
    for claim in ["a2 616e 07 646c697374 9b0000100000000000", "a2 7b0000100000000000", "bb0000100000000000 616e 07"] {
        assert!(sample(&hex(claim)).is_err());
    }
    let deep = [vec![0x81; 300], vec![0]].concat();
    assert!(sample(&[hex("a2 616e 07 646c697374"), deep].concat()).is_err());
}

#[test]
fn an_error_does_not_carry_control_characters_on() {
    let message = sample(&hex("a1 64 1b5b316d 00")).unwrap_err().to_string();
    assert!(message.contains("u{1b}") && !message.contains('\u{1b}'), "{message}");
    let long = [hex("a1 790fff"), vec![b'x'; 0xfff], hex("00")].concat();
    assert!(sample(&long).unwrap_err().to_string().len() < 300);
}

#[test]
fn a_byte_string_is_split_off_in_its_one_spelling() {
    assert_eq!(split_bytes(&hex("43010203 ff"), 3), Ok((&[1, 2, 3][..], &hex("43010203")[..], &[0xff][..])));
    assert_eq!(split_bytes(&hex("43010203"), 2), Err(CborError::Long { claimed: 3, most: 2 }));
    assert_eq!(split_bytes(&hex("430102"), 9), Err(CborError::Short));
    assert_eq!(split_bytes(&[], 9), Err(CborError::Short));
    for other in ["5803010203", "590003010203", "5a00000003010203", "5b0000000000000003010203"] {
        assert_eq!(split_bytes(&hex(other), 9), Err(CborError::NotCanonical));
    }
    for other in ["63616263", "5f43010203ff", "5c", "00", "f6"] {
        assert_eq!(split_bytes(&hex(other), 9), Err(CborError::NotBytes));
    }
    assert_eq!(bytes_head(&hex("5901"), 999), Ok(None));
    assert!(split_bytes(&hex("5bffffffffffffffff00"), usize::MAX).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_decodes(n: u64, list in proptest::collection::vec((any::<u32>(), "\\PC{0,9}"), 0..9)) {
        let value = Sample { n, list };
        prop_assert_eq!(decode(&encode(&value)), Ok(value));
    }

    #[test]
    fn what_decodes_encodes_to_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(value) = decode::<Vec<(u32, i64)>>(&bytes) {
            prop_assert_eq!(encode(&value), bytes);
        }
    }

    #[test]
    fn any_byte_string_is_split_off(content in proptest::collection::vec(any::<u8>(), 0..700), rest: [u8; 3]) {
        let item = bytes_item(&content);
        let input = [item.as_slice(), &rest].concat();
        prop_assert_eq!(split_bytes(&input, 700), Ok((&content[..], &item[..], &rest[..])));
    }
}
