//! What strangers send: other pages' requests, names that point here, too much of everything, and damaged pictures.

use std::io::{Read, Write};
use std::time::Duration;

use image::ImageFormat;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::change::{below, change};
use crate::common::cover;
use crate::server::{Server, agent, three};

/// Whether the long forms are asked for.
pub fn is_long() -> bool {
    std::env::var_os("GATEFOLD_SERVE_LONG").is_some()
}

#[test]
fn other_pages_and_other_names_get_nothing() {
    let run = three();
    let server = Server::start(&run.run, &["--nearest", "0"]);
    let own = server.address();
    let status = |request: &str| server.raw(request).split(' ').nth(1).unwrap_or("none").to_owned();
    let get = |headers: &str| status(&format!("GET /api/run HTTP/1.1\r\n{headers}Connection: close\r\n\r\n"));
    let host = format!("Host: {own}\r\n");
    assert_eq!(get(&host), "200");
    assert_eq!(get(&format!("Host: localhost:{}\r\n", own.port())), "200");
    assert_eq!(get(&format!("Host: evil.example:{}\r\n", own.port())), "403");
    assert_eq!(get(""), "400");
    assert_eq!(get(&format!("{host}Origin: http://evil.example\r\n")), "403");
    assert_eq!(get(&format!("{host}Sec-Fetch-Site: cross-site\r\n")), "403");
    assert_eq!(get(&format!("{host}Origin: http://{own}\r\nSec-Fetch-Site: same-origin\r\n")), "200");
    // A form of another page, which a browser sends without asking first.
    let picture = run.other("Jazz 1.png");
    let form = format!(
        "POST /api/predict HTTP/1.1\r\n{host}Origin: null\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
        picture.len()
    );
    assert_eq!(status(&form), "403");
    // And what it would ask first.
    let first = format!(
        "OPTIONS /api/predict HTTP/1.1\r\n{host}Origin: http://evil.example\r\nAccess-Control-Request-Method: POST\r\nConnection: close\r\n\r\n"
    );
    let said = server.raw(&first);
    assert!(said.contains(" 403 ") && !said.to_lowercase().contains("access-control-allow"), "{said}");
}

#[test]
fn too_much_is_refused_before_it_is_taken() {
    let run = three();
    let mut server = Server::start(&run.run, &["--nearest", "0"]);
    let host = format!("Host: {}\r\nConnection: close\r\n", server.address());
    let post = |headers: &str, body: &str| {
        let said = server.raw(&format!("POST /api/predict HTTP/1.1\r\n{host}{headers}\r\n{body}"));
        said.split(' ').nth(1).unwrap_or("none").to_owned()
    };
    assert_eq!(post("Content-Length: 99999999999\r\n", ""), "413");
    assert_eq!(post("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"), "411");
    assert_eq!(post("Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 3\r\n", "abc"), "415");
    assert_eq!(post("Content-Length: many\r\n", ""), "400");
    assert_eq!(post("Content-Length: 3\r\nContent-Length: 4\r\n", "abcd"), "400");
    // Headers that do not end.
    let long = server.raw(&format!("GET / HTTP/1.1\r\n{host}X: {}\r\n\r\n", "x".repeat(200_000)));
    assert!(long.contains(" 431 ") || long.is_empty(), "{long}");
    assert!(server.raw("nonsense\r\n\r\n").contains(" 400 "));
    // A head of 20,000 x 19,000 pixels in a few bytes.
    let mut bomb = Vec::new();
    image::RgbImage::new(1, 1).write_to(&mut std::io::Cursor::new(&mut bomb), ImageFormat::Bmp).unwrap();
    bomb[18..22].copy_from_slice(&19_999_u32.to_le_bytes());
    bomb[22..26].copy_from_slice(&19_000_u32.to_le_bytes());
    let before = server.resident();
    let reply = server.post("api/predict", &bomb);
    assert!(reply.status == 422 && reply.json()["error"].as_str().unwrap().contains("too large"), "{}", reply.json());
    if let (Some(before), Some(after)) = (before, server.resident()) {
        assert!(after < before + (64 << 20), "{before} {after}");
    }
    server.is_sound();
}

#[test]
fn a_full_queue_refuses_and_says_when_to_come_back() {
    let run = three();
    let mut server = Server::start(&run.run, &["--nearest", "0"]);
    let waiting = server.get("api/run").json()["limits"]["waiting"].as_u64().unwrap() as usize;
    let picture = run.other("Jazz 1.png");
    let head = format!(
        "POST /api/predict HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        server.address(),
        picture.len()
    );
    // Each has sent a part of its picture.
    let (first, rest) = picture.split_at(picture.len() / 2);
    let begun = || {
        let mut stream = server.connect();
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(first)).unwrap();
        stream
    };
    let mut slow: Vec<_> = (0..waiting).map(|_| begun()).collect();
    // What is asked beside them can take one of the places, and then there is one for another.
    let refused = (0..200).find_map(|_| {
        slow.push(begun());
        std::thread::sleep(Duration::from_millis(20));
        Some(server.post("api/predict", &picture)).filter(|reply| reply.status == 503)
    });
    let refused = refused.expect("nothing was refused");
    assert_eq!(refused.header("retry-after"), "1");
    // Other addresses go on, and those who were first are answered.
    assert_eq!(server.get("api/run").status, 200);
    let mut answered = 0;
    for mut stream in slow {
        let mut said = String::new();
        // Those that found no room may be closed already.
        let _ = stream.write_all(rest);
        let _ = stream.read_to_string(&mut said);
        answered += usize::from(said.starts_with("HTTP/1.1 200 "));
    }
    assert_eq!(answered, waiting);
    assert_eq!(server.post("api/predict", &picture).status, 200);
    // Who breaks off gives the place back.
    (0..waiting).for_each(|_| drop(begun()));
    let back = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        server.post("api/predict", &picture).status == 200
    });
    assert!(back);
    server.is_sound();
}

/// 1,000 uploads, and 100,000 in the long form.
#[test]
fn damaged_pictures_are_refused_and_nothing_else_happens() {
    let run = three();
    let mut server = Server::start(&run.run, &["--nearest", "0"]);
    let formats =
        [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Bmp, ImageFormat::Tiff];
    let whole: Vec<Vec<u8>> = formats
        .into_iter()
        .map(|format| {
            let mut bytes = Vec::new();
            cover(3, 48).write_to(&mut std::io::Cursor::new(&mut bytes), format).unwrap();
            bytes
        })
        .collect();
    let (threads, rounds): (u64, u64) = if is_long() { (8, 12_500) } else { (4, 250) };
    let before = server.resident();
    let counts: Vec<[u64; 2]> = std::thread::scope(|scope| {
        let each = |thread: u64| {
            let (server, whole) = (&server, &whole);
            scope.spawn(move || {
                let (agent, mut rng, mut counts) = (agent(), ChaCha8Rng::seed_from_u64(thread), [0, 0]);
                for round in 0..rounds {
                    let mut bytes = whole[below(&mut rng, whole.len())].clone();
                    change(&mut bytes, &mut rng);
                    // Maps take longer.
                    let path = if round % 50 == 0 { "api/explain" } else { "api/predict" };
                    let reply = server.post_with(&agent, path, &bytes);
                    let value = reply.json();
                    match reply.status {
                        200 => assert!((0.0..=1.0).contains(&value["probability"].as_f64().unwrap()), "{value}"),
                        422 => assert!(value["error"].as_str().is_some_and(|text| !text.contains('\n')), "{value}"),
                        other => panic!("thread {thread}, round {round}: {other} {value}"),
                    }
                    counts[usize::from(reply.status == 422)] += 1;
                }
                counts
            })
        };
        let all: Vec<_> = (0..threads).map(each).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let [read, refused] = [0, 1].map(|kind| counts.iter().map(|counts| counts[kind]).sum::<u64>());
    println!(
        "{} uploads: {refused} refused, {read} read all the same; memory {before:?} to {:?}",
        read + refused,
        server.resident()
    );
    assert!(refused > (read + refused) / 4, "{refused} of {}", read + refused);
    assert_eq!(server.post("api/predict", &run.other("Jazz 1.png")).status, 200);
    server.is_sound();
}
