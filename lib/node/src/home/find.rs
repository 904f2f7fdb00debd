//! Where the configuration folder and the spool are, by option, environment or custom.

use super::{Home, HomeError};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Looks up a variable of the environment.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

const SYSTEM: &str = "/etc/mailbag";
const SYSTEM_SPOOL: &str = "/var/spool/mailbag";

impl Home {
    /// The configuration folder: `option` (`-C`), else `MB_CONFIG`, else `$XDG_CONFIG_HOME/mailbag` or `~/.config/mailbag`
    /// if it is there, else `/etc/mailbag` if that is there. Where nothing is there, the place of a new one.
    pub fn find(option: Option<&Path>, env: Env) -> PathBuf {
        let own = Home::place(option, env);
        let system = Path::new(SYSTEM);
        let asked_for = option.is_some() || variable(env, "MB_CONFIG").is_some();
        if !asked_for && !own.exists() && system.exists() { system.to_owned() } else { own }
    }

    /// The configuration folder of a node that is to be made: as [`Home::find`], but `/etc/mailbag` only by name.
    pub fn place(option: Option<&Path>, env: Env) -> PathBuf {
        let named = option.map(Path::to_owned).or_else(|| variable(env, "MB_CONFIG").map(PathBuf::from));
        named.or_else(|| xdg(env, "XDG_CONFIG_HOME", ".config")).unwrap_or_else(|| SYSTEM.into())
    }
}

/// The spool of the configuration folder `home`. A relative path is taken from the working folder.
pub(super) fn spool_path(
    option: Option<&Path>,
    env: Env,
    configured: Option<&Path>,
    home: &Path,
) -> Result<PathBuf, HomeError> {
    let named = option.map(Path::to_owned).or_else(|| variable(env, "MB_SPOOL").map(PathBuf::from));
    let usual = || {
        if home == Path::new(SYSTEM) { Some(SYSTEM_SPOOL.into()) } else { xdg(env, "XDG_STATE_HOME", ".local/state") }
    };
    let path = named.or_else(|| configured.map(Path::to_owned)).or_else(usual).ok_or(HomeError::NoSpool)?;
    std::path::absolute(&path).map_err(|_| HomeError::NoSpool)
}

/// A variable that says something; an empty one is as good as none.
fn variable(env: Env, name: &str) -> Option<OsString> {
    env(name).filter(|value| !value.is_empty())
}

/// `mailbag` in an XDG base folder, or in its usual place below `HOME`. A relative base is ignored, as XDG wants it.
fn xdg(env: Env, name: &str, below_home: &str) -> Option<PathBuf> {
    let base = variable(env, name).map(PathBuf::from).filter(|base| base.is_absolute());
    let base = base.or_else(|| variable(env, "HOME").map(|home| Path::new(&home).join(below_home)));
    base.map(|base| base.join("mailbag"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(option: Option<&str>, variables: &[(&str, &str)]) -> PathBuf {
        let env = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value));
        Home::place(option.map(Path::new), &env)
    }

    #[test]
    fn the_nearest_word_says_where_the_configuration_is() {
        let all = [("MB_CONFIG", "/m"), ("XDG_CONFIG_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(place(Some("c"), &all), Path::new("c"));
        assert_eq!(place(None, &all), Path::new("/m"));
        assert_eq!(place(None, &all[1..]), Path::new("/x/mailbag"));
        assert_eq!(place(None, &all[2..]), Path::new("/h/.config/mailbag"));
        assert_eq!(
            place(None, &[("MB_CONFIG", ""), ("XDG_CONFIG_HOME", "x"), ("HOME", "/h")]),
            Path::new("/h/.config/mailbag")
        );
        assert_eq!(place(None, &[]), Path::new("/etc/mailbag"));
    }

    #[test]
    fn the_nearest_word_says_where_the_spool_is() {
        let all = [("MB_SPOOL", "/m"), ("XDG_STATE_HOME", "/x"), ("HOME", "/h")];
        let spool = |option: Option<&str>, skip: usize, configured: Option<&str>, home: &str| {
            let env = |name: &str| all[skip..].iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value));
            spool_path(option.map(Path::new), &env, configured.map(Path::new), Path::new(home)).ok()
        };
        assert_eq!(spool(Some("/o"), 0, Some("/c"), "/h"), Some("/o".into()));
        assert_eq!(spool(None, 0, Some("/c"), "/h"), Some("/m".into()));
        assert_eq!(spool(None, 1, Some("/c"), "/h"), Some("/c".into()));
        assert_eq!(spool(None, 1, None, "/h"), Some("/x/mailbag".into()));
        assert_eq!(spool(None, 1, None, "/etc/mailbag"), Some("/var/spool/mailbag".into()));
        assert_eq!(spool(None, 2, None, "/h"), Some("/h/.local/state/mailbag".into()));
        assert_eq!(spool(None, 3, None, "/h"), None);
    }
}
