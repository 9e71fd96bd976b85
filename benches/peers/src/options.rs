//! What the command line says.

use std::time::Duration;

/// Options of both binaries.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A first impression within a minute.
    pub quick: bool,
    /// Only rows whose name contains this.
    pub only: Option<String>,
}

impl Options {
    /// # Panics
    /// When there is an argument that means nothing.
    pub fn from_args(args: impl Iterator<Item = String>) -> Self {
        let mut options = Self::default();
        let mut args = args.peekable();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--quick" => options.quick = true,
                "--only" => options.only = args.next(),
                _ => panic!("usage: peers [--quick] [--only ROW]"),
            }
        }
        options
    }

    /// As arguments again.
    pub fn to_args(&self) -> Vec<String> {
        let mut args = Vec::new();
        if self.quick {
            args.push("--quick".into());
        }
        if let Some(only) = &self.only {
            args.extend(["--only".into(), only.clone()]);
        }
        args
    }

    /// Whether a row is wanted.
    pub fn wants(&self, row: &str) -> bool {
        self.only.as_ref().is_none_or(|only| row.contains(only.as_str()))
    }

    /// For how long one figure is sampled.
    pub fn budget(&self) -> Duration {
        Duration::from_millis(if self.quick { 120 } else { 2_000 })
    }
}
