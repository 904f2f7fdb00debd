//! `envelope_…` and `seal_…`: whole envelopes, and the seal around what is inside.

use data_encoding::HEXLOWER;
use mb_wire::id::LetterId;
use mb_wire::letter::{Codec, Form};
use serde_json::json;

use super::build::{Vector, bad, bytes, good, hex, set};
use super::draft::{ALICE, CAROL, Draft, Stage, exec, id, listed, node, request};

pub fn all() -> Vec<Vector> {
    [goods(), outer(), seals(), shares()].into_iter().flatten().collect()
}

fn goods() -> Vec<Vector> {
    let with = |change: &dyn Fn(&mut Draft)| {
        let mut draft = Draft::new();
        change(&mut draft);
        draft
    };
    let inline = |len: usize| with(&|d| d.letter.inline = Some(pattern(len)));
    let cases = [
        ("envelope_inline", "a small file in the letter itself", Draft::new()),
        ("envelope_empty_payload", "an empty file", inline(0)),
        ("envelope_one_body", "a file in one body", Draft::with_bodies(vec![listed(1, 100_000)])),
        ("envelope_three_bodies", "a folder in three bodies, one as zstd, one padded", three_bodies()),
        ("envelope_hops_1", "a packet that may be wrapped once more", with(&|d| d.hops = 1)),
        ("envelope_ends_before_letter", "the envelope ends before the letter", with(&|d| d.end = 20_000)),
        (
            "envelope_from_a_relay",
            "handed over by another than the author",
            with(&|d| (d.sender, d.hops) = (CAROL, 15)),
        ),
        ("envelope_2048", "an envelope of 2,048 bytes", inline(1_000)),
        ("envelope_4096", "an envelope of 4,096 bytes", inline(3_000)),
        ("envelope_padme", "an envelope of a Padmé size", inline(5_000)),
        ("envelope_unpadded", "an envelope that fills its class to the last byte", unpadded(1024)),
        ("envelope_one_over", "an envelope whose class is the next because of one byte", one_over(1024)),
        ("envelope_inline_most", "as much payload as a letter may hold", inline(32_768)),
        ("letter_old_file", "a file from before 1970, and the greatest numbers", greatest()),
        ("letter_path_longest", "the longest path and components", with(&|d| d.file().path = longest_path())),
        (
            "letter_path_not_utf8",
            "a path that is not UTF-8",
            with(&|d| d.file().path = b"a\xff\n/\x1b[1m/...".to_vec()),
        ),
        ("letter_wants_receipts", "a letter whose author wants receipts", wanting(1)),
        ("letter_wants_trace", "a letter whose author wants a trace", wanting(2)),
        ("letter_wants_both", "a letter whose author wants receipts and a trace", wanting(3)),
        ("letter_re", "a file that answers a letter", with(&|d| d.file().re = Some(LetterId::from_bytes([0x2e; 32])))),
        ("exec_plain", "something for a command, without arguments", Draft::of(exec("print", &[]), b"to be printed\n")),
        (
            "exec_args",
            "arguments of any bytes, an empty one among them",
            Draft::of(exec("a.b-c_9", &[b"-o", b"", b"\xff\n$(true)"]), b""),
        ),
        ("exec_most", "as many arguments, of as many bytes, as allowed", most_arguments()),
        ("exec_body", "a command's input in a body", exec_body()),
        ("request_file", "a file is asked for", Draft::of(request(false, b"docs/may.pdf"), b"")),
        ("request_list", "the list of a folder is asked for", Draft::of(request(true, b"docs"), b"")),
        ("request_list_all", "the list of all that is shared is asked for", Draft::of(request(true, b""), b"")),
        (
            "request_path_not_utf8",
            "a file is asked for whose name is not UTF-8",
            Draft::of(request(false, b"\xff\n"), b""),
        ),
        ("letter_bodies_1024", "as many bodies as a letter may list", many_bodies()),
    ];
    let made = |(name, what, draft): (&str, &str, Draft)| good(name, "envelope", what, draft.make().all());
    let mut out: Vec<_> = cases.into_iter().map(made).collect();
    out.push(high_bit());
    out
}

fn wanting(wants: u8) -> Draft {
    let mut draft = Draft::new();
    draft.letter.wants = wants.try_into().expect("1 to 3");
    draft
}

pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|j| (j * 7 + j / 251) as u8).collect()
}

fn three_bodies() -> Draft {
    let (mut zstd, mut padded) = (listed(2, 40_000), listed(3, 90_112));
    (zstd.codec, zstd.len) = (Codec::Zstd, 1 << 30);
    padded.len = 88_888;
    let mut draft = Draft::with_bodies(vec![listed(1, 1 << 30), zstd, padded]);
    (draft.file().form, draft.file().mode) = (Form::Folder, 0o755);
    draft
}

fn most_arguments() -> Draft {
    let argument = pattern(64).iter().map(|byte| byte | 1).collect::<Vec<_>>();
    Draft::of(exec(&"h".repeat(64), &[&argument[..]; 256]), b"")
}

fn exec_body() -> Draft {
    let mut draft = Draft::with_bodies(vec![listed(1, 100_000)]);
    draft.letter.kind = exec("print", &[]);
    draft
}

fn unpadded(class: usize) -> Draft {
    let mut draft = Draft::new();
    let fits = |draft: &Draft| {
        let full = std::cell::Cell::new(false);
        draft.make_with(&|stage| {
            if let Stage::Plain(plain) = stage {
                let n = u32::from_be_bytes(plain[..4].try_into().expect("four bytes")) as usize;
                full.set(n + 4 == plain.len());
            }
        });
        full.get()
    };
    draft.letter.inline = (0..class)
        .map(|len| Some(pattern(len)))
        .find(|inline| {
            draft.letter.inline = inline.clone();
            fits(&draft)
        })
        .expect("some payload fills the class");
    assert_eq!(draft.make().file.len(), class);
    draft
}

fn one_over(class: usize) -> Draft {
    let mut draft = unpadded(class);
    draft.letter.inline.iter_mut().for_each(|payload| payload.push(0));
    assert_eq!(draft.make().file.len(), 2 * class);
    draft
}

fn greatest() -> Draft {
    let mut draft = Draft::new();
    (draft.letter.time, draft.letter.end, draft.end) = ((1 << 53) - 1, u32::MAX, u32::MAX);
    (draft.file().mode, draft.file().mtime) = (0o777, (i64::MIN, 999_999_999));
    draft
}

fn longest_path() -> Vec<u8> {
    let mut path = [[b'x'; 255].as_slice(), b"/"].concat().repeat(16);
    path.pop();
    path.truncate(4_095);
    path
}

fn many_bodies() -> Draft {
    let numbered = |n: u32| {
        let mut body = listed(n as u8, 1 << 30);
        body.root = mb_wire::id::Root::from_bytes(mb_wire::hash::hash(mb_wire::hash::Label::Root, &[&n.to_be_bytes()]));
        body
    };
    Draft::with_bodies((0..1024).map(numbered).collect())
}

/// X25519 ignores the highest bit of a public key; everything else binds the share as it stands.
fn high_bit() -> Vector {
    let made = Draft::new().make_with(&|stage| {
        if let Stage::Share(share) = stage {
            share[31] |= 0x80;
        }
    });
    let mut fields = made.all();
    for writer_only in ["coins", "sender_seed", "author_seed"] {
        fields.as_object_mut().expect("an object").remove(writer_only);
    }
    good("seal_share_high_bit", "envelope", "a share with its highest bit set, which X25519 ignores", fields)
}

fn edited(name: &str, what: &str, reason: &str, edit: &dyn Fn(Stage)) -> Vector {
    bad(name, "envelope", what, reason, Draft::new().make_with(edit).input())
}

fn outer() -> Vec<Vector> {
    let file = |name, what, reason, change: &dyn Fn(&mut Vec<u8>)| {
        edited(name, what, reason, &|stage| {
            if let Stage::File(file) = stage {
                change(file);
            }
        })
    };
    let mut for_another = Draft::new().make().input();
    for_another["to"] = json!(id(CAROL).to_string());
    let mut other_key = Draft::new().make().input();
    other_key["exchange"] = json!(hex([0x77; 32]));
    let mut other_sender = Draft::new().make().input();
    other_sender["sender"] = json!(hex(node(CAROL).identity_key()));
    let mut other_author = Draft::new().make().input();
    other_author["author"] = json!(hex(node(CAROL).identity_key()));
    vec![
        bad("envelope_for_another", "envelope", "the reader is another node", "envelope is for mbn1", for_another),
        bad("envelope_no_key", "envelope", "the reader has another exchange key", "which is not here", other_key),
        bad("envelope_sender_key", "envelope", "the key at hand is not that of `from`", "is not that of", other_sender),
        bad(
            "envelope_author_key",
            "envelope",
            "the key at hand is not the author's",
            "not that of its author",
            other_author,
        ),
        file("envelope_cut", "the second half is missing", "does not open", &|f| f.truncate(512)),
        file("envelope_filled_up", "zeros up to the next class", "does not open", &|f| f.resize(2048, 0)),
        file("envelope_first_sealed_bit", "a bit of the length altered", "does not open", &|f| {
            let at = usize::from(u16::from_be_bytes([0, f[1]])) + 2 + 1;
            assert_eq!((f[0], f[at - 1]), (0x58, 0xf6));
            f[at] ^= 1;
        }),
        file("envelope_tag_bit", "the last bit altered", "does not open", &|f| f[1023] ^= 1),
        file("envelope_end_altered", "a later day, by somebody on the way", "does not open", &|f| {
            let end = find(f, b"cend\x19") + 5;
            f[end + 1] ^= 1;
        }),
        file("envelope_zeros", "the sealed part replaced by zeros", "does not open", &|f| f[300..].fill(0)),
        file("envelope_other_prefix", "the prefix of another envelope", "does not open", &|f| {
            let mut other = Draft::new();
            other.letter.salt[0] ^= 1;
            let other = other.make().file;
            let head_len = usize::from(f[1]) + 3;
            f[..head_len].copy_from_slice(&other[..head_len]);
        }),
    ]
}

fn find(file: &[u8], part: &[u8]) -> usize {
    file.windows(part.len()).position(|window| window == part).expect("it is there")
}

fn seals() -> Vec<Vector> {
    let schedule = |name, what, reason, place: usize, part: Vec<u8>| {
        edited(name, what, reason, &|stage| {
            if let Stage::Schedule(parts) = stage {
                parts[place] = part.clone();
            }
        })
    };
    let commitment = "commitment does not match";
    let other_exchange = mb_wire::key::ExchangeSecret::from_random([0x77; 32]).public().to_vec();
    vec![
        schedule("seal_other_suite", "a key schedule with suite 2", commitment, 0, vec![2]),
        schedule("seal_other_context", "sealed as something else than an envelope", commitment, 1, b"letter".to_vec()),
        schedule("seal_other_recipient_key", "sealed to another key under this tag", commitment, 3, other_exchange),
        schedule(
            "seal_other_recipient",
            "sealed to the key as another node's",
            commitment,
            4,
            id(ALICE).as_bytes().to_vec(),
        ),
        schedule("seal_other_secret", "a shared secret that is not that of the share", commitment, 5, vec![9; 32]),
        edited("seal_commit_altered", "a bit of the commitment altered before all was signed", commitment, &|stage| {
            if let Stage::Commit(commit) = stage {
                commit[0] ^= 1;
            }
        }),
        edited("seal_nonce", "a nonce that is not zero", "does not open", &|stage| {
            if let Stage::Nonce(nonce) = stage {
                nonce[11] = 1;
            }
        }),
        edited("seal_without_associated_data", "prefix and stamp not bound", "does not open", &|stage| {
            if let Stage::Associated(data) = stage {
                data.clear();
            }
        }),
        edited("seal_without_stamp", "the stamp not bound", "does not open", &|stage| {
            if let Stage::Associated(data) = stage {
                data.pop();
            }
        }),
        edited(
            "seal_to_other",
            "the prefix names another node than the one it is sealed to",
            "envelope is for",
            &|stage| {
                if let Stage::Core(core) = stage {
                    set(core, "to", bytes(id(ALICE).as_bytes()));
                }
            },
        ),
        edited("seal_tag_other", "the tag of another exchange key", "which is not here", &|stage| {
            if let Stage::Core(core) = stage {
                set(core, "tag", bytes([1; 8]));
            }
        }),
    ]
}

/// Shares with which every reader would compute the same: zero.
fn shares() -> Vec<Vector> {
    let points = [
        ("zero", "0000000000000000000000000000000000000000000000000000000000000000"),
        ("one", "0100000000000000000000000000000000000000000000000000000000000000"),
        ("order_8", "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
        ("order_8_too", "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
        ("minus_one", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ("p", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ("p_plus_one", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ];
    let vector = |(name, point): (&str, &str)| {
        let point = HEXLOWER.decode(point.as_bytes()).expect("hex");
        let edit = |stage: Stage| match stage {
            Stage::Share(share) => share.copy_from_slice(&point),
            Stage::Schedule(parts) => parts[5].fill(0),
            _ => {}
        };
        let name = format!("seal_share_{name}");
        edited(&name, "a share of low order, sealed with the secret that it forces", "low order", &edit)
    };
    points.into_iter().map(vector).collect()
}
