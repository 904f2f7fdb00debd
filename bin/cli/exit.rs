//! The one table of exit codes: those of sysexits(3). See `cli.md`.

use mb_spool::class::Class;
use std::collections::BTreeSet;

/// The exit code of a class of failure.
pub fn code(class: Class) -> u8 {
    match class {
        Class::No => 1,
        Class::Nothing => 3,
        Class::Usage => 64,
        Class::Data => 65,
        Class::NoInput => 66,
        Class::UnknownName => 67,
        Class::Unreachable => 69,
        Class::Bug => 70,
        Class::CannotCreate => 73,
        Class::Io => 74,
        Class::Later => 75,
        Class::Protocol => 76,
        Class::Refused => 77,
        Class::Config => 78,
    }
}

/// What went wrong in a run, of which kinds.
#[derive(Debug, Default)]
pub struct Outcome {
    classes: BTreeSet<Class>,
}

impl Outcome {
    /// Counts one failure.
    pub fn add(&mut self, class: Class) {
        self.classes.insert(class);
    }

    /// The exit code of the run: 0 for no failure, its code for one class, 1 for several.
    pub fn code(&self) -> u8 {
        let mut classes = self.classes.iter();
        match (classes.next(), classes.next()) {
            (None, _) => 0,
            (Some(class), None) => code(*class),
            _ => code(Class::No),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_class_is_its_code_and_several_are_one() {
        let mut outcome = Outcome::default();
        assert_eq!(outcome.code(), 0);
        outcome.add(Class::Data);
        outcome.add(Class::Data);
        assert_eq!(outcome.code(), 65);
        outcome.add(Class::Later);
        assert_eq!(outcome.code(), 1);
    }
}
