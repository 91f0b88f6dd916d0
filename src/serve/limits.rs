//! How much of everything a server takes, so that nobody can ask it out of its memory or its time.

use std::time::Duration;

/// Connections at a time; more wait.
pub const CONNECTIONS: usize = 512;
/// A request's line and headers: how long they may take, also until a next one on a connection that is kept, and how large they may be.
pub const HEADERS: Duration = Duration::from_secs(30);
pub const HEADER_BYTES: usize = 64 << 10;
/// After a connection that could not be taken.
pub const AGAIN: Duration = Duration::from_millis(50);

/// Questions in the works at a time: pictures on their way, being decoded, or waiting for the device. More are refused.
pub const WAITING: usize = 128;
/// Bytes of a picture's file.
pub const FILE_BYTES: u64 = 32 << 20;
/// Bytes of files that are on their way or being decoded, together.
pub const ALL_BYTES: u64 = 256 << 20;
/// Pixels of a picture, of all that it has before it is made a square.
pub const PIXELS: u64 = 100_000_000;
/// How long a picture may be on its way.
pub const UPLOAD: Duration = Duration::from_secs(20);
/// How long an answer may take, waiting for others included.
pub const ANSWER: Duration = Duration::from_secs(120);
/// After which it is worth asking again, in seconds.
pub const RETRY: u32 = 1;

/// Names of pictures of a folder that one answer lists.
pub const LISTED: usize = 1000;
/// Covers of the training set that are kept as pictures.
pub const THUMBNAILS: usize = 256;
/// Classes that an answer has, unless it is asked for more.
pub const TOP: usize = 10;
/// Plans for heat maps that are kept, one for each layer, and for Score-CAM another one.
pub const EXPLAINERS: usize = 4;
