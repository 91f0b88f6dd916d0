//! Many requests: no error, the same answers, memory that stays.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::hostile::is_long;
use crate::server::{Server, agent, three};

/// Clients at a time.
const CLIENTS: u64 = 64;

/// 1,280 requests, and 10,048 in the long form.
#[test]
fn many_clients_get_the_same_answers_as_one_and_memory_stays() {
    let run = three();
    let mut server = Server::start(&run.run, &[]);
    server.ready();
    let pictures = ["Folk 1.png", "Jazz 1.png", "Metal 1.png"].map(|name| run.other(name));
    let alone: Vec<f64> = pictures
        .iter()
        .map(|picture| server.post("api/predict", picture).json()["probability"].as_f64().unwrap())
        .collect();
    let each: u64 = if is_long() { 157 } else { 20 };
    // What the first part of them takes is kept for those who come later.
    let settled = AtomicU64::new(0);
    let (done, start) = (AtomicU64::new(0), Instant::now());
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (server, pictures, alone, settled, done) = (&server, &pictures, &alone, &settled, &done);
            scope.spawn(move || {
                let agent = agent();
                for round in 0..each {
                    let which = ((client + round) % 3) as usize;
                    let reply = server.post_with(&agent, "api/predict", &pictures[which]);
                    assert_eq!(reply.status, 200, "client {client}, round {round}");
                    let got = reply.json()["probability"].as_f64().unwrap();
                    assert!(
                        (got - alone[which]).abs() < 1e-4,
                        "client {client}, round {round}: {got} {}",
                        alone[which]
                    );
                    if done.fetch_add(1, Ordering::Relaxed) == CLIENTS * each / 4 {
                        settled.store(server.resident().unwrap_or(0), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let (requests, seconds) = (done.into_inner(), start.elapsed().as_secs_f64());
    let (settled, end) = (settled.into_inner(), server.resident().unwrap_or(0));
    println!(
        "{requests} requests in {seconds:.1} s, {:.0}/s; memory {} to {} MiB",
        requests as f64 / seconds,
        settled >> 20,
        end >> 20
    );
    assert_eq!(requests, CLIENTS * each);
    assert!(end < settled + (24 << 20), "{settled} bytes after a quarter, {end} at the end");
    server.is_sound();
}
