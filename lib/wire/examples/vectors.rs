//! Writes the test vectors: `cargo run -p mb-wire --example vectors -- tests/vectors`. What the files hold is told in
//! that folder's README.md. The same bytes each time.
//!
//! Envelopes, cards and files are put together here by hand from CBOR values, so that each can have its defect; where
//! the library can make the same, `lib/wire/tests/vectors.rs` compares.

#[path = "vectors/areas.rs"]
mod areas;
#[path = "vectors/bodies.rs"]
mod bodies;
#[path = "vectors/build.rs"]
pub mod build;
#[path = "vectors/cards.rs"]
mod cards;
#[path = "vectors/contents.rs"]
mod contents;
#[path = "vectors/draft.rs"]
mod draft;
#[path = "vectors/envelopes.rs"]
mod envelopes;
#[path = "vectors/folders.rs"]
mod folders;
#[path = "vectors/forwards.rs"]
mod forwards;
#[path = "vectors/inners.rs"]
mod inners;
#[path = "vectors/keys.rs"]
mod keys;
#[path = "vectors/letters.rs"]
mod letters;
#[path = "vectors/post.rs"]
mod post;
#[path = "vectors/posts.rs"]
mod posts;
#[path = "vectors/prefixes.rs"]
mod prefixes;
#[path = "vectors/reports.rs"]
mod reports;
#[path = "vectors/road.rs"]
mod road;
#[path = "vectors/routes.rs"]
mod routes;
#[path = "vectors/settings.rs"]
mod settings;
#[path = "vectors/stated.rs"]
mod stated;
#[path = "vectors/subscribes.rs"]
mod subscribes;
#[path = "vectors/traces.rs"]
mod traces;
#[path = "vectors/wants.rs"]
mod wants;

use build::Vector;

/// All vectors, in no particular order, their names all different.
pub fn all() -> Vec<Vector> {
    let parts: [fn() -> Vec<Vector>; 18] = [
        keys::all,
        cards::all,
        prefixes::all,
        envelopes::all,
        inners::all,
        contents::all,
        letters::all,
        routes::all,
        reports::all,
        traces::all,
        bodies::all,
        folders::all,
        areas::all,
        posts::all,
        settings::all,
        wants::all,
        subscribes::all,
        forwards::all,
    ];
    parts.iter().flat_map(|part| part()).collect()
}

#[allow(dead_code)] // Unused where a test takes this file as a module.
fn main() -> std::io::Result<()> {
    let Some(dir) = std::env::args_os().nth(1) else {
        eprintln!("vectors: DIR is missing");
        std::process::exit(64);
    };
    let vectors = all();
    for vector in &vectors {
        let path = std::path::Path::new(&dir).join(vector.path());
        std::fs::create_dir_all(path.parent().expect("a path with a folder"))?;
        std::fs::write(path, vector.text())?;
    }
    println!("{} vectors", vectors.len());
    Ok(())
}
