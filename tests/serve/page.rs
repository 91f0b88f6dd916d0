//! The page in a real browser.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::common::text;
use crate::server::{Run, Server, three};
use crate::webdriver::{Browser, ENTER, HOME};

/// Drops files on the page as a file manager does, or pastes them as a browser does.
fn give(browser: &Browser, how: &str, files: &[(&str, Vec<u8>)]) {
    let files: Vec<Value> = files.iter().map(|(name, bytes)| json!([name, STANDARD.encode(bytes)])).collect();
    let script = r#"
        const transfer = new DataTransfer();
        for (const [name, data] of arguments[0]) {
            const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
            transfer.items.add(new File([bytes], name, {type: "image/png"}));
        }
        if (arguments[1] === "paste") {
            document.body.dispatchEvent(new ClipboardEvent("paste", {clipboardData: transfer, bubbles: true}));
        } else {
            for (const kind of ["dragenter", "dragover", "drop"]) {
                document.getElementById("drop").dispatchEvent(new DragEvent(kind, {dataTransfer: transfer, bubbles: true, cancelable: true}));
            }
        }"#;
    browser.run(script, &[Value::Array(files), how.into()]);
}

const READY: &str = "document.documentElement.dataset.ready === 'true'";
const MAP: &str = "document.querySelectorAll('.card[aria-busy=false] .heat:not([hidden])').length >= 1";

/// So many covers were asked about, and each has its answer and its map.
fn answered(browser: &Browser, cards: u64) {
    browser.until(&format!("document.querySelectorAll('.card[aria-busy=false]').length === {cards}"));
}

fn wide(browser: &Browser) -> u64 {
    browser.eval("document.documentElement.scrollWidth").as_u64().unwrap()
}

#[test]
fn a_cover_is_dropped_and_its_answer_and_map_are_seen() {
    let Some(browser) = Browser::open(1200, false) else { return };
    let run = three();
    let mut server = Server::start(&run.run, &[]);
    server.ready();
    browser.goto(&server.url);
    browser.until(READY);
    assert!(browser.text("#score").contains("test covers"), "{}", browser.text("#score"));
    give(&browser, "drop", &[("<b>Jazz & 1</b>.png", run.other("Jazz 1.png"))]);
    browser.until(MAP);
    let said = browser.text(".card");
    let wanted = server.post("api/predict", &run.other("Jazz 1.png")).json();
    let label = wanted["label"].as_str().unwrap();
    for part in [
        label,
        wanted["trust_text"].as_str().unwrap(),
        "<b>Jazz & 1</b>.png",
        "Training covers that it sees as most alike",
    ] {
        assert!(said.contains(part), "{part} is missing in: {said}");
    }
    assert_eq!((browser.count(".near img"), browser.count(".bar"), browser.count(".card b > b")), (6, 3, 0));
    browser.run("document.querySelector('.near').scrollIntoView({behavior: 'instant'})", &[]);
    browser.until(
        "Array.from(document.querySelectorAll('.near img')).every((img) => img.complete && img.naturalWidth > 0)",
    );
    browser.run("scrollTo({top: 0, behavior: 'instant'})", &[]);
    browser.picture("wide.png");
    // Another class, by a click on its bar; the map's words tell of it.
    let pressed = "document.querySelector('.bar[aria-pressed=true] bdi').textContent";
    assert_eq!(browser.eval(pressed), label);
    let last = browser.eval("document.querySelector('.bar:last-child bdi').textContent");
    browser.click(".bar:last-child");
    browser
        .until(&format!("document.querySelector('.map-text').textContent.startsWith('{}: ')", last.as_str().unwrap()));
    assert_eq!(browser.eval(pressed), last);
    // Each method, by a click, and the layers by their names.
    for (place, method) in (1..).zip(["grad-cam", "grad-cam++", "hirescam", "layercam", "score-cam"]) {
        browser.click(&format!(".methods button:nth-child({place})"));
        browser.until(&format!("document.querySelector('.map-text').textContent.includes(' {method} of ')"));
    }
    browser.click(".methods button:first-child");
    browser.send_keys(".card select", HOME);
    browser.until("document.querySelector('.map-text').textContent.includes(` of ${document.querySelector('.card select').value},`)");
    // The slider, with the keyboard.
    browser.send_keys("input[type=range]", HOME);
    assert_eq!(browser.eval("document.querySelector('.heat').style.opacity"), "0");
    assert_eq!(browser.console(), Vec::<String>::new());
    // A file that is no picture, beside one that is.
    give(&browser, "drop", &[("notes.txt", b"no picture".to_vec()), ("Folk.png", run.other("Folk 1.png"))]);
    answered(&browser, 3);
    assert_eq!(browser.count(".fault"), 1);
    assert!(browser.text(".fault").contains("not a picture"));
    browser.run("document.querySelector('.fault').scrollIntoView({block: 'center', behavior: 'instant'})", &[]);
    browser.picture("fault.png");
    // The browser itself tells of the refusal, and of nothing else.
    let lines = browser.console();
    assert!(!lines.is_empty() && lines.iter().all(|line| line.contains("422")), "{lines:?}");
    assert!(wide(&browser) <= 1200);
    browser.run("document.querySelector('#trust').scrollIntoView({behavior: 'instant'})", &[]);
    browser.picture("trust.png");
    give(&browser, "paste", &[("image.png", run.other("Metal 1.png"))]);
    answered(&browser, 4);
    assert_eq!((browser.count(".fault"), browser.console()), (1, vec![]));
    browser.click("#clear");
    assert_eq!(browser.count(".card"), 0);
    server.is_sound();
}

#[test]
fn on_a_phone_nothing_is_cut_off_and_files_are_chosen() {
    let Some(browser) = Browser::open(390, true) else { return };
    let run = three();
    let mut server = Server::start(&run.run, &["--allow-folder", text(&run.others)]);
    server.ready();
    browser.goto(&server.url);
    browser.until(READY);
    browser.send_keys("#files", &format!("{}\n{}", path(run, "Jazz 1.png"), path(run, "Metal 1.png")));
    answered(&browser, 2);
    browser.until(MAP);
    // Those of the folder, with the keyboard.
    browser.send_keys("#folder-path", ENTER);
    answered(&browser, 5);
    assert_eq!(browser.eval("innerWidth"), 390);
    assert!(wide(&browser) <= 390, "{}", wide(&browser));
    assert_eq!(browser.eval("matchMedia('(prefers-color-scheme: dark)').matches"), true);
    browser.run("scrollTo({top: 0, behavior: 'instant'})", &[]);
    browser.picture("phone.png");
    browser.run("document.querySelector('.card').scrollIntoView({behavior: 'instant'})", &[]);
    browser.picture("phone-card.png");
    // Everything that can be used has a name for those who do not see it, and every picture has words.
    let nameless = "Array.from(document.querySelectorAll('button, input, select')).filter((e) => !e.hidden && \
                    !(e.labels?.length || e.textContent.trim() || e.getAttribute('aria-label'))).map((e) => e.outerHTML)";
    assert_eq!(browser.eval(nameless), json!([]));
    assert_eq!(browser.eval("Array.from(document.images).filter((i) => !i.hidden && !i.alt).length"), 0);
    assert_eq!(browser.console(), Vec::<String>::new());
    server.is_sound();
}

fn path(run: &Run, name: &str) -> String {
    text(&run.others.join(name)).to_owned()
}
