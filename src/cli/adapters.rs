//! Which ranks have which adapter.

use gatefold_engine::gpu::AdapterSummary;

use super::console;
use crate::ranks::Ranks;

/// Says which adapters all ranks have opened, and which ranks share one.
pub fn say(own: &AdapterSummary, ranks: &Ranks) {
    // A name of a driver has no line breaks.
    let name = format!("{} ({}, {})\n{}", own.name, own.kind, own.backend, own.index);
    let all = ranks.all_gather(name.into_bytes());
    let names = all.iter().map(|name| String::from_utf8_lossy(name).into_owned());
    let opened: Vec<(String, String)> =
        ranks.peers().iter().zip(names).map(|(peer, name)| (peer.host.clone(), name)).collect();
    lines(&opened).iter().for_each(console::say);
}

/// A line for each adapter; `opened` are each rank's host and its adapter.
fn lines(opened: &[(String, String)]) -> Vec<String> {
    let mut lines = vec![];
    for (rank, place) in opened.iter().enumerate() {
        if opened[..rank].contains(place) {
            continue;
        }
        let (host, adapter) = place;
        let name = adapter.lines().next().unwrap_or_default();
        let of: Vec<String> =
            opened.iter().enumerate().filter(|(_, other)| *other == place).map(|(rank, _)| rank.to_string()).collect();
        lines.push(match &of[..] {
            [one] => format!("adapter of rank {one}: {name} on {host}"),
            several => format!("adapter of ranks {}, which share it: {name} on {host}", several.join(", ")),
        });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn ranks_that_share_an_adapter_are_named_together() {
        let opened = [("a", "G\n0"), ("a", "G\n1"), ("a", "G\n0"), ("b", "G\n0")];
        let opened = opened.map(|(host, adapter)| (host.to_owned(), adapter.to_owned()));
        assert_eq!(
            lines(&opened),
            ["adapter of ranks 0, 2, which share it: G on a", "adapter of rank 1: G on a", "adapter of rank 3: G on b"]
        );
    }
}
