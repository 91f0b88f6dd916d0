//! Results as pages that can be sent to a friend.

pub mod page;
