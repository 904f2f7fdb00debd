//! Shared: what somebody may ask for, found and opened. Called by toss for a request's path, which has been checked for form
//! only.
//!
//! Everything is reached from the share's folder, one name at a time, never through a link, and what was opened is what is
//! sent: nothing is looked up again. Of links, devices and FIFOs nobody hears that they are there; nor of names that begin
//! with `.mb-`, which may be half-made.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use mb_spool::date::time_text;
use mb_spool::deliver::OpenFolder;
use mb_spool::durable::{self, DirRef, Entry, Kind, Stat};
use mb_wire::letter::RequestMeta;

use crate::config::Share;
use crate::send::{Chosen, Input, Opened, What};

/// Names of what may be half-made.
const HIDDEN: &[u8] = b".mb-";
/// How deep a folder may be that is sent: less than a payload may.
const MOST_DEPTH: usize = 120;
/// Bytes of a path in it: likewise.
const MOST_PATH_LEN: usize = 4096;
/// The name of the list of everything.
const LIST_OF_ALL: &str = "shares.list";

/// Why nothing is sent.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// There is nothing of that name, or it is not shared: nobody learns which.
    #[error("nothing of that name is shared")]
    NotShared,
    /// It has too many bytes.
    #[error("more than {0} bytes ([[share]] most_bytes)")]
    TooLarge(u64),
    /// It has too many files.
    #[error("more than {0} files and folders ([[share]] most_files)")]
    TooMany(u32),
    /// It is deeper than a payload may be.
    #[error("folders too deep, or paths too long")]
    TooDeep,
    /// The share itself, or the system, does not let us look.
    #[error(transparent)]
    Disk(#[from] durable::Error),
}

type Result<T> = std::result::Result<T, ShareError>;

/// The share that a path leads to, and the rest of the path. The first component is a share's name, or else all of it lies in the
/// share without one.
pub fn locate<'s, 'p>(shares: &'s [Share], path: &'p [u8]) -> Option<(&'s Share, Vec<&'p OsStr>)> {
    let parts: Vec<&OsStr> = path.split(|byte| *byte == b'/').map(OsStr::from_bytes).collect();
    let is_named = |share: &&Share| share.name.as_ref().is_some_and(|name| parts[0] == OsStr::new(name));
    match shares.iter().find(is_named) {
        Some(share) => Some((share, parts[1..].to_vec())),
        None => shares.iter().find(|share| share.name.is_none()).map(|share| (share, parts)),
    }
}

/// Opens what a request asks for. `open` opens a share's folder.
pub fn find(shares: &[Share], request: &RequestMeta, open: OpenFolder) -> Result<Input> {
    if request.path.is_empty() {
        return list_all(shares, open);
    }
    let (share, parts) = locate(shares, &request.path).ok_or(ShareError::NotShared)?;
    let name = request.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let place = Place { share, name, request: OsStr::from_bytes(&request.path).into() };
    let top = open(&share.folder)?;
    let Some((last, folders)) = parts.split_last() else { return place.folder(top, Path::new(""), request.list) };
    let (mut dir, mut path) = (top, PathBuf::new());
    for folder in folders {
        (dir, path) = place.enter(&dir, &path, folder)?;
    }
    // A device that is opened may notice it, so it is looked at before.
    match dir.stat(last).map_err(unseen)?.kind {
        Kind::Dir => {
            let (dir, path) = place.enter(&dir, &path, last)?;
            place.folder(dir, &path, request.list)
        }
        Kind::File if !request.list => place.file(&dir, &path, last),
        _ => Err(ShareError::NotShared),
    }
}

/// What is not there, is something else, or is not for us to read, is not shared. Everything else is the system's fault.
fn unseen(error: durable::Error) -> ShareError {
    let is_none = error.is_missing() || error.is_wrong_kind();
    match error.cause.kind() {
        _ if is_none => ShareError::NotShared,
        io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidFilename | io::ErrorKind::NotADirectory => {
            ShareError::NotShared
        }
        _ => error.into(),
    }
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_bytes().starts_with(HIDDEN)
}

/// What is asked for.
struct Place<'a> {
    share: &'a Share,
    /// The last component of its path.
    name: &'a [u8],
    /// For messages.
    request: PathBuf,
}

impl Place<'_> {
    /// A folder in `dir`, which lies at `path` in the share; and where it lies.
    fn enter(&self, dir: &DirRef, path: &Path, name: &OsStr) -> Result<(DirRef, PathBuf)> {
        let path = path.join(name);
        if is_hidden(name) || !self.share.has_folder(&path) {
            return Err(ShareError::NotShared);
        }
        Ok((dir.open_dir(name).map_err(unseen)?, path))
    }

    fn file(&self, dir: &DirRef, path: &Path, name: &OsStr) -> Result<Input> {
        if is_hidden(name) || !self.share.has_file(&path.join(name)) {
            return Err(ShareError::NotShared);
        }
        let file = dir.open(name).map_err(unseen)?;
        if file.stat()?.len > self.share.most_bytes {
            return Err(ShareError::TooLarge(self.share.most_bytes));
        }
        Ok(self.opened(What::File(file)))
    }

    fn folder(&self, dir: DirRef, path: &Path, is_list: bool) -> Result<Input> {
        if is_list {
            let mut lines = self.share.lines(&dir, path)?;
            return Ok(list_of(&mut lines, [self.name, b".list"].concat()));
        }
        let mut choice = Choice { share: self.share, entries: Vec::new(), bytes: 0 };
        choice.look(&dir, path, Path::new(""), 1)?;
        let what = What::Folder { top: dir, entries: choice.entries.into(), most_bytes: self.share.most_bytes };
        Ok(self.opened(what))
    }

    fn opened(&self, what: What) -> Input {
        Input::Opened(Opened { name: self.name.to_vec(), path: self.request.clone(), what })
    }
}

impl Share {
    /// What is shared of a folder that lies at `path`, in no order. One entry more than may be is an error, before more of them
    /// are read.
    fn entries(&self, dir: &DirRef, path: &Path, most: u32) -> Result<Vec<Entry>> {
        let mut found = Vec::new();
        for entry in dir.list().map_err(unseen)? {
            let entry = entry?;
            let path = path.join(&entry.name);
            let is_shared = match entry.kind {
                Kind::File => self.has_file(&path),
                Kind::Dir => self.has_folder(&path),
                Kind::Symlink | Kind::Other => false,
            };
            if !is_shared || is_hidden(&entry.name) {
                continue;
            }
            if found.len() >= most as usize {
                return Err(ShareError::TooMany(self.most_files));
            }
            found.push(entry);
        }
        Ok(found)
    }

    fn lines(&self, dir: &DirRef, path: &Path) -> Result<Vec<Line>> {
        let mut lines = Vec::new();
        for entry in self.entries(dir, path, self.most_files)? {
            match dir.stat(&entry.name) {
                Ok(stat) if stat.kind == entry.kind => {
                    lines.push(Line { name: entry.name.as_bytes().to_vec(), stat: Some(stat) });
                }
                // It has gone meanwhile, or is something else.
                Ok(_) => {}
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(lines)
    }
}

/// One line of a list.
struct Line {
    name: Vec<u8>,
    /// None: a share, of which no more is said than its name.
    stat: Option<Stat>,
}

/// The shares that have names, and what is in the one that has none.
fn list_all(shares: &[Share], open: OpenFolder) -> Result<Input> {
    let names: Vec<&[u8]> = shares.iter().filter_map(|share| share.name.as_ref()).map(|name| name.as_bytes()).collect();
    let mut lines: Vec<Line> = names.iter().map(|name| Line { name: name.to_vec(), stat: None }).collect();
    if let Some(share) = shares.iter().find(|share| share.name.is_none()) {
        let found = share.lines(&open(&share.folder)?, Path::new(""))?;
        // What has the name of a share is not reached.
        lines.extend(found.into_iter().filter(|line| !names.contains(&&line.name[..])));
    }
    Ok(list_of(&mut lines, LIST_OF_ALL.into()))
}

fn list_of(lines: &mut [Line], name: Vec<u8>) -> Input {
    lines.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    let text: String = lines.iter().map(Line::text).collect();
    Input::Bytes(text.into_bytes(), name)
}

impl Line {
    /// Kind (`f` or `d`), size, time and name, with tabs between them. A folder's name ends with `/`.
    fn text(&self) -> String {
        let name = escaped(&self.name);
        let time = self.stat.map_or_else(|| "-".into(), |stat| time_text(stat.modified.0));
        match self.stat.filter(|stat| stat.kind == Kind::File) {
            Some(stat) => format!("f\t{}\t{time}\t{name}\n", stat.len),
            None => format!("d\t-\t{time}\t{name}/\n"),
        }
    }
}

/// A name that stays in its column, as `$'…'` of a shell would read it: `\` is `\\`; control characters, and what is no UTF-8, are
/// `\xNN`, byte by byte.
fn escaped(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                c if c.is_control() => escape_bytes(c.encode_utf8(&mut [0; 4]).as_bytes(), &mut text),
                c => text.push(c),
            }
        }
        escape_bytes(chunk.invalid(), &mut text);
    }
    text
}

fn escape_bytes(bytes: &[u8], text: &mut String) {
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "\\x{byte:02x}");
    }
}

/// What of a folder is sent.
struct Choice<'a> {
    share: &'a Share,
    entries: Vec<Chosen>,
    bytes: u64,
}

impl Choice<'_> {
    /// Looks into `dir`, which lies at `shared` in the share and at `path` in what is sent.
    fn look(&mut self, dir: &DirRef, shared: &Path, path: &Path, depth: usize) -> Result<()> {
        let left = self.share.most_files.saturating_sub(u32::try_from(self.entries.len()).unwrap_or(u32::MAX));
        let mut entries = self.share.entries(dir, shared, left)?;
        entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        for Entry { name, kind } in entries {
            let path = path.join(&name);
            if depth > MOST_DEPTH || path.as_os_str().len() > MOST_PATH_LEN {
                return Err(ShareError::TooDeep);
            }
            if self.entries.len() >= self.share.most_files as usize {
                return Err(ShareError::TooMany(self.share.most_files));
            }
            match kind {
                Kind::Dir => {
                    let Some(inner) = readable(dir.open_dir(&name))? else { continue };
                    self.entries.push(Chosen { path: path.clone(), is_folder: true });
                    self.look(&inner, &shared.join(&name), &path, depth + 1)?;
                }
                _ => {
                    let Some(file) = readable(dir.open(&name))? else { continue };
                    self.bytes = self.bytes.saturating_add(file.stat()?.len);
                    if self.bytes > self.share.most_bytes {
                        return Err(ShareError::TooLarge(self.share.most_bytes));
                    }
                    self.entries.push(Chosen { path, is_folder: false });
                }
            }
        }
        Ok(())
    }
}

/// What has gone meanwhile, or cannot be read by us, is left out.
fn readable<T>(opened: durable::Result<T>) -> Result<Option<T>> {
    match opened.map_err(unseen) {
        Ok(opened) => Ok(Some(opened)),
        Err(ShareError::NotShared) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use mb_spool::durable::real;

    use super::*;
    use crate::config::Patterns;

    fn share(folder: &Path) -> Share {
        let (only, except) = (Patterns::default(), Patterns::default());
        Share { folder: folder.into(), name: None, only, except, most_bytes: 1000, most_files: 10 }
    }

    /// A folder `pub` with a file, a folder with two files, and a secret beside it.
    fn place() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("pub");
        fs::create_dir_all(top.join("docs")).unwrap();
        for name in ["a", "docs/a", "docs/b"] {
            fs::write(top.join(name), format!("this is {name}")).unwrap();
        }
        fs::write(dir.path().join("secret"), "secret").unwrap();
        (dir, top)
    }

    fn ask(share: &Share, path: &[u8]) -> Result<Input> {
        let request = RequestMeta { list: false, path: path.to_vec() };
        find(std::slice::from_ref(share), &request, &real::open_folder)
    }

    fn is_refused(answer: Result<Input>) -> bool {
        matches!(answer, Err(ShareError::NotShared))
    }

    /// What is sent of an input; an error in words.
    fn sent(input: Input) -> std::result::Result<Vec<u8>, String> {
        let Input::Opened(opened) = input else { panic!("it is open") };
        opened.read_all()
    }

    /// No letter has such a path, since its form is refused before; nor would it lead anywhere.
    ///
    /// Threat: 1.
    #[test]
    fn no_path_leads_out_of_a_share() {
        let (_dir, top) = place();
        let share = share(&top);
        for path in
            [&b".."[..], b"../secret", b"docs/../../secret", b"/secret", b"docs//a", b"./a", b"a\0", b"docs/", b"."]
        {
            assert!(is_refused(ask(&share, path)), "{}", String::from_utf8_lossy(path));
        }
        assert_eq!(sent(ask(&share, b"a").unwrap()).unwrap(), b"this is a");
    }

    /// Threat: 3, 5.
    #[test]
    fn what_is_replaced_by_a_link_after_it_was_opened_is_sent_as_it_was() {
        let (dir, top) = place();
        let input = ask(&share(&top), b"a").unwrap();
        fs::remove_file(top.join("a")).unwrap();
        symlink(dir.path().join("secret"), top.join("a")).unwrap();
        assert_eq!(sent(input).unwrap(), b"this is a");
        assert!(is_refused(ask(&share(&top), b"a")));
    }

    /// Threat: 3, 5.
    #[test]
    fn a_folder_in_which_something_is_replaced_meanwhile_is_not_sent() {
        let (dir, top) = place();
        type Change<'a> = &'a dyn Fn(&Path);
        let link = |path: &Path| {
            fs::remove_file(path).unwrap();
            symlink(dir.path().join("secret"), path).unwrap();
        };
        let folder = |path: &Path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        };
        let gone = |path: &Path| fs::remove_file(path).unwrap();
        let grown = |path: &Path| fs::write(path, [b'x'; 1001]).unwrap();
        let changes: [(Change, &str); 4] =
            [(&link, "changed"), (&folder, "changed"), (&gone, "changed"), (&grown, "grew")];
        for (change, said) in changes {
            let input = ask(&share(&top), b"docs").unwrap();
            change(&top.join("docs/b"));
            let error = sent(input).unwrap_err();
            assert!(error.contains(said) && !error.contains("secret"), "{error}");
            let _ = fs::remove_dir(top.join("docs/b"));
            let _ = fs::remove_file(top.join("docs/b"));
            fs::write(top.join("docs/b"), "this is docs/b").unwrap();
        }
        // The folder itself was opened: what has its name now is another.
        let input = ask(&share(&top), b"docs").unwrap();
        fs::rename(top.join("docs"), top.join("old")).unwrap();
        symlink(dir.path(), top.join("docs")).unwrap();
        let payload = String::from_utf8_lossy(&sent(input).unwrap()).into_owned();
        assert!(payload.contains("this is docs/b") && !payload.contains("secret"), "{payload}");
    }

    /// Files of a size that no disk has, and of one that grows while it is read: no more than the limit is sent.
    ///
    /// Threat: 4, 5.
    #[test]
    fn a_file_is_sent_as_long_as_it_was_when_it_was_opened() {
        let (_dir, top) = place();
        fs::File::create(top.join("sparse")).unwrap().set_len(8 << 40).unwrap();
        assert!(matches!(ask(&share(&top), b"sparse"), Err(ShareError::TooLarge(1000))));
        let Input::Opened(opened) = ask(&share(&top), b"a").unwrap() else { panic!("it is open") };
        let mut reader = opened.reader().unwrap();
        let mut first = [0; 4];
        reader.read_exact(&mut first).unwrap();
        fs::write(top.join("a"), [b'x'; 5000]).unwrap();
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        assert_eq!(rest.len(), "this is a".len() - 4);
    }

    #[test]
    fn the_first_part_of_a_path_names_a_share_or_all_of_it_lies_in_the_one_without_a_name() {
        let named = |name: Option<&str>| Share { name: name.map(str::to_owned), ..share(Path::new("/srv")) };
        let shares = [named(Some("docs")), named(None), named(Some("music"))];
        let found = |shares: &[Share], path: &str| {
            let (share, rest) = locate(shares, path.as_bytes())?;
            Some((share.name.clone(), rest.join(OsStr::new("/")).into_string().unwrap()))
        };
        let table: BTreeMap<&str, (Option<&str>, &str)> = [
            ("docs", (Some("docs"), "")),
            ("docs/a/b", (Some("docs"), "a/b")),
            ("music/a", (Some("music"), "a")),
            ("other/a", (None, "other/a")),
            ("docs2", (None, "docs2")),
        ]
        .into();
        for (path, (name, rest)) in table {
            assert_eq!(found(&shares, path), Some((name.map(str::to_owned), rest.to_owned())), "{path}");
        }
        assert_eq!(found(&shares[..1], "other"), None);
        assert_eq!(found(&[], "other"), None);
    }

    #[test]
    fn a_name_in_a_list_stays_in_its_column() {
        let table: [(&[u8], &str); 5] = [
            (b"a b.pdf", "a b.pdf"),
            ("Grüße".as_bytes(), "Grüße"),
            (b"a\tb\nc\\d", "a\\x09b\\x0ac\\\\d"),
            (b"\xff\xc3", "\\xff\\xc3"),
            ("\u{85}".as_bytes(), "\\xc2\\x85"),
        ];
        for (name, shown) in table {
            assert_eq!(escaped(name), shown);
        }
    }
}
