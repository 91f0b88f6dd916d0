//! One error type, sorted by whether the user can fix it.

/// What went wrong. The text is one line that names the file or value, the cause and the remedy.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Bad usage or bad input: the user can put it right. Exit code 2.
    #[error("{0}")]
    Input(String),
    /// A run-time failure: device lost, out of memory, disk full, a loss that is NaN. Exit code 1.
    #[error("{0}")]
    Run(String),
    /// The device gave up a part of its work: what it had to do at a time was too much. Exit code 1.
    #[error("{0}")]
    Unfinished(String),
}

impl Error {
    /// An [`Error::Input`] from anything that prints.
    pub fn input(text: impl std::fmt::Display) -> Self {
        Self::Input(text.to_string())
    }

    /// An [`Error::Run`] from anything that prints.
    pub fn run(text: impl std::fmt::Display) -> Self {
        Self::Run(text.to_string())
    }

    /// The process exit code that design and documentation promise.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Input(_) => 2,
            Self::Run(_) | Self::Unfinished(_) => 1,
        }
    }
}

pub type Result<T, E = Error> = std::result::Result<T, E>;
