//! Subscriptions by statement: a neighbour asks for an area, and is served if our rules allow, until it ends.

#[path = "area/graph.rs"]
mod graph;

mod common;

use common::{Node, secrets, tree};
use graph::{AREA, Graph, Role, listed};
use mb_wire::area::{AreaCard, Subscribe};
use mb_wire::card::Card;
use mb_wire::envelope::{Address, Content, HOPS_MOST, Wrap, packet_id, wrap};
use mb_wire::id::AreaId;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// The owner, which hands the area to nobody of itself, and two that read it.
fn graph(requests: &str) -> Graph {
    let nodes: [(&str, Role, &[&str]); 3] =
        [("a", Role::Reader, &[]), ("b", Role::Reader, &[]), ("c", Role::Reader, &[])];
    let graph = Graph::new(&nodes, "open");
    graph.node("a").run(["mb-area", "set", AREA, &format!("requests={requests}")]).silent();
    graph
}

fn ask(graph: &Graph, at: &str, options: &[&str]) {
    graph.node(at).command(["mb-area", "subscribe", AREA, "a", "--ask"]).args(options).run().silent();
}

/// Whether what `a` posts goes to `to`.
fn is_served(graph: &Graph, name: &str, to: &str) -> bool {
    let before = graph.tx("a", to).len();
    graph.post("a", name, b"news");
    graph.tx("a", to).len() > before
}

fn millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

fn today() -> u32 {
    (millis() / 86_400_000) as u32
}

fn area(graph: &Graph) -> AreaId {
    AreaCard::parse(graph.node("a").run(["mb-area", "card", AREA]).ok().trim()).unwrap().id()
}

/// Puts statements that `signer` signed where `a` finds them, as if `from` had handed them over; nothing is tossed.
fn hand(graph: &Graph, from: &str, signer: &str, statements: impl IntoIterator<Item = (Subscribe, u64)>) {
    let a = graph.node("a");
    let card = Card::parse(&a.card()).unwrap();
    let to = Address { id: card.id(), exchange: card.keys[0].public };
    let (from, signer) = (secrets(graph.node(from)), secrets(graph.node(signer)));
    let rx = a.spool.join("self/rx");
    fs::create_dir_all(&rx).unwrap();
    for (wanted, time) in statements {
        let content = Content::Statement(wanted.sign(&signer, time));
        let end = today() + 5;
        let wrapping = Wrap { to: &to, end, nice: 1, hops: HOPS_MOST, bodies: &[], ask: false, content: &content };
        let envelope = wrap(&from, &wrapping).unwrap();
        fs::write(rx.join(packet_id(&envelope).to_string()), envelope).unwrap();
    }
}

/// The names of what `b` asked `a` for.
fn noted(graph: &Graph) -> Vec<String> {
    let folder = graph.node("a").spool.join(graph.node("b").id()).join("subscribed");
    listed(folder.clone()).into_iter().flat_map(|area| listed(folder.join(area))).collect()
}

fn members(node: &Node) -> Vec<Vec<String>> {
    let lines = node.run(["mb-area", "members", AREA]).ok();
    lines.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

/// Shows: H14, N6.
#[test]
fn a_neighbour_asks_for_an_area_and_is_served_until_it_asks_for_the_end() {
    let graph = graph("true");
    assert!(!is_served(&graph, "before", "b"));
    ask(&graph, "b", &[]);
    graph.carry("b", "a");
    assert!(is_served(&graph, "first", "b") && graph.tx("a", "c").is_empty());
    graph.carry("a", "b");
    assert_eq!(graph.delivered("b"), ["first"], "what was there before does not come after");
    let until = mb_spool::date::day_text(today() + 400);
    let (a, b) = (graph.node("a"), graph.node("b"));
    assert_eq!(
        members(a),
        [vec!["owner".into(), "a".into(), a.id()], vec!["subscriber".into(), "b".into(), b.id(), until]]
    );
    // Asked again, it is renewed.
    ask(&graph, "b", &["--until", "36h"]);
    graph.carry("b", "a");
    let until = mb_spool::date::day_text(today() + 2);
    let json = a.run(["mb-area", "members", AREA, "--json"]).ok();
    let json: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&json[0]["until"], &json[1]["until"]), (&serde_json::Value::Null, &until.into()));
    assert_eq!(noted(&graph).len(), 1);
    // Who is in the file as well gets it once.
    a.run(["mb-area", "subscribe", AREA, "b"]).silent();
    assert_eq!(members(a).len(), 2);
    graph.post("a", "second", b"x");
    assert_eq!(graph.tx("a", "b").len(), 1);
    a.run(["mb-area", "unsubscribe", AREA, "b"]).silent();
    assert!(is_served(&graph, "third", "b"), "it has asked for it");
    b.run(["mb-area", "unsubscribe", AREA, "a", "--ask"]).silent();
    graph.carry("b", "a");
    assert!(!is_served(&graph, "last", "b"));
    assert_eq!(members(a).len(), 1);
    a.run(["mb-check"]).silent();
}

/// A relay asks as a reader does; it needs no more than the public card.
///
/// Shows: H14.
#[test]
fn a_relay_card_is_enough_to_ask() {
    let graph = Graph::new(&[("a", Role::Reader, &[]), ("b", Role::Relay, &[])], "open");
    graph.node("a").run(["mb-area", "set", AREA, "requests=[\"b\"]"]).silent();
    let show = graph.node("a").run(["mb-area", "show", AREA]).ok();
    assert!(show.contains("settings.requests\tb\n"), "{show}");
    ask(&graph, "b", &["--until", "1d"]);
    graph.carry("b", "a");
    assert!(is_served(&graph, "first", "b"));
}

/// Shows: H14.
#[test]
fn what_is_asked_wrongly_is_said_at_once() {
    let graph = graph("true");
    let b = graph.node("b");
    let ask = |words: &[&str]| b.command(["mb-area", "subscribe"]).args(words).run();
    ask(&["gazette", "a", "--ask"]).fails_with(67, "unknown area");
    ask(&[AREA, "nobody", "--ask"]).fails_with(67, "unknown node");
    ask(&[AREA, "a", "b", "--ask"]).fails_with(64, "this node itself");
    ask(&[AREA, "a", "--ask", "--until", "401d"]).fails_with(64, "more than 400 days");
    ask(&[AREA, "a", "--ask", "--until", "soon"]).fails_with(64, "an age is a number");
    ask(&[AREA, "a", "--until", "5d"]).fails_with(64, "--ask");
    assert!(graph.tx("b", "a").is_empty());
    ask(&[AREA, "a", "c", "a", "--ask"]).silent();
    assert_eq!((graph.tx("b", "a").len(), graph.tx("b", "c").len()), (1, 1), "one for each");
}

/// Neither hears which of the two it is; and what is not allowed any more ends at once.
///
/// Shows: H14, N6.
#[test]
fn who_may_not_ask_is_refused_in_the_words_for_what_is_not_known() {
    let graph = graph("[\"c\"]");
    let a = graph.node("a");
    let refused = |statement| {
        hand(&graph, "b", "b", [statement]);
        let said = a.run(["mb-toss"]).fails(77);
        said.split_once("b asks for").expect("it says so").1.replace(&statement.0.area.to_string(), "AREA")
    };
    let known = Subscribe { area: area(&graph), until: today() + 9 };
    let of_known = refused((known, millis()));
    let of_unknown = refused((Subscribe { area: AreaId::from_bytes([7; 32]), ..known }, millis()));
    assert_eq!(of_known, of_unknown);
    assert!(of_known.contains("an area that it does not get here: AREA"), "{of_known}");
    assert!(noted(&graph).is_empty() && !is_served(&graph, "first", "b"));
    // Since it is allowed, it is served.
    a.run(["mb-area", "set", AREA, "requests=true"]).silent();
    a.run(["mb-toss", "--retry"]).fails_with(77, "does not get here");
    assert!(is_served(&graph, "second", "b"));
    a.run(["mb-area", "set", AREA, "requests=false"]).silent();
    assert!(!is_served(&graph, "third", "b"));
    assert_eq!(members(a).len(), 1);
}

/// Shows: H14.
#[test]
fn a_subscription_ends_by_time_but_not_while_the_clock_is_doubted() {
    let graph = graph("true");
    let a = graph.node("a");
    let (area, made) = (area(&graph), millis() - 50 * 86_400_000);
    let ended = Subscribe { area, until: today() - 1 };
    hand(&graph, "b", "b", [(ended, made)]);
    a.run(["mb-toss"]).silent();
    assert_eq!(noted(&graph), [format!("{made}.{}", today() - 1)], "it is remembered that it ended");
    assert!(!is_served(&graph, "late", "b"));
    hand(&graph, "b", "b", [(Subscribe { area, until: today() }, made + 1)]);
    a.run(["mb-toss"]).silent();
    assert!(is_served(&graph, "last-day", "b"));
    hand(&graph, "b", "b", [(ended, made + 2)]);
    a.run(["mb-toss"]).silent();
    // The clock was set ahead by months, or was wrong before.
    fs::write(a.spool.join("self/day"), format!("{}\n", today() - 60)).unwrap();
    let doubted = graph.world.write("a/out/doubted", "x");
    assert_eq!(a.command(["mb-send", "-a", AREA]).arg(doubted).run().code, 0);
    assert_eq!(graph.tx("a", "b").len(), 2, "nothing ends on a day that is not believed");
    a.run(["mb-check", "--clock-ok"]).ok();
    assert!(!is_served(&graph, "believed", "b"));
}

/// Shows: H14.
#[test]
fn a_statement_that_comes_late_does_not_undo_a_newer_one() {
    let graph = graph("true");
    let a = graph.node("a");
    let (area, now) = (area(&graph), millis());
    let (on, off) = (Subscribe { area, until: today() + 9 }, Subscribe { area, until: 0 });
    hand(&graph, "b", "b", [(off, now), (on, now - 1)]);
    a.run(["mb-toss"]).silent();
    assert!(!is_served(&graph, "first", "b"));
    hand(&graph, "b", "b", [(on, now), (on, now - 1)]);
    a.run(["mb-toss"]).silent();
    assert_eq!(noted(&graph), [format!("{now}.0")], "as new is not newer");
    // What ended a while ago is still remembered.
    fs::write(a.spool.join("self/day"), format!("{}\n", today() - 1)).unwrap();
    a.run(["mb-toss"]).silent();
    hand(&graph, "b", "b", [(on, now - 1)]);
    a.run(["mb-toss"]).silent();
    assert!(!is_served(&graph, "second", "b"));
    hand(&graph, "b", "b", [(on, now + 1)]);
    a.run(["mb-toss"]).silent();
    assert!(is_served(&graph, "third", "b"));
}

/// Threat: 11.
#[test]
fn a_statement_that_another_node_signed_is_refused() {
    let graph = graph("true");
    let wanted = Subscribe { area: area(&graph), until: today() + 9 };
    hand(&graph, "c", "b", [(wanted, millis())]);
    graph.node("a").run(["mb-toss"]).fails_with(65, "not its own");
    assert!(!is_served(&graph, "x", "b") && !is_served(&graph, "y", "c"));
    assert!(noted(&graph).is_empty());
}

/// A neighbour cannot ask for longer than anything may live, nor put a statement before all that it says later.
#[test]
fn days_that_cannot_be_are_refused() {
    let graph = graph("true");
    let area = area(&graph);
    let a = graph.node("a");
    hand(&graph, "b", "b", [(Subscribe { area, until: today() + 403 }, millis())]);
    a.run(["mb-toss"]).fails_with(65, "more than 400 days ahead");
    hand(&graph, "b", "b", [(Subscribe { area, until: 0 }, millis() + 4 * 86_400_000)]);
    a.run(["mb-toss"]).fails_with(65, "and today is day");
    hand(&graph, "b", "b", [(Subscribe { area, until: 0 }, u64::MAX)]);
    a.run(["mb-toss"]).fails_with(65, "and today is day");
    assert!(noted(&graph).is_empty());
}

/// Threat: 11.
#[test]
fn a_flood_of_subscriptions_leaves_one_note_for_each_area_that_is_known() {
    let graph = graph("true");
    let a = graph.node("a");
    let (known, now) = (area(&graph), millis());
    let unknown = (0..1000_u64).map(|number| {
        let mut id = [9; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        (Subscribe { area: AreaId::from_bytes(id), until: today() + 9 }, now + number)
    });
    hand(&graph, "b", "b", unknown);
    a.run(["mb-toss"]).fails(77);
    let folder = a.spool.join(graph.node("b").id());
    assert!(!folder.exists(), "{:#?}", tree(&folder));
    let again = (0..1000_u64).map(|number| (Subscribe { area: known, until: today() + 9 }, now + number));
    hand(&graph, "b", "b", again);
    a.run(["mb-toss"]).silent();
    assert_eq!(noted(&graph), [format!("{}.{}", now + 999, today() + 9)]);
    assert!(listed(a.spool.join("self/rx")).is_empty());
}

/// The names that are not those of a note are told.
#[test]
fn a_check_knows_the_notes() {
    let graph = graph("true");
    let a = graph.node("a");
    ask(&graph, "b", &[]);
    graph.carry("b", "a");
    a.run(["mb-check"]).silent();
    let folder = a.spool.join(graph.node("b").id()).join("subscribed");
    fs::write(folder.join(area(&graph).to_string()).join("01.5"), "").unwrap();
    fs::create_dir(folder.join("news")).unwrap();
    let told = a.run(["mb-check"]).ok_or_one();
    assert!(told.lines().count() == 2 && told.contains("/01.5") && told.contains("/news"), "{told}");
}
