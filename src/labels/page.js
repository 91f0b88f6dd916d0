// What is ticked becomes corrections.csv, which `gatefold import --corrections` takes. Nothing leaves the page but that download.
"use strict";
(() => {
  const rows = [...document.querySelectorAll("li[data-cover]")].map((item) => ({
    item, cover: JSON.parse(item.dataset.cover), choice: item.querySelector("select"), radios: [...item.querySelectorAll("input")],
  }));
  if (!rows.length) return;
  const classes = JSON.parse(document.getElementById("classes").textContent);
  const short = (name) => ([...name].length > 80 ? [...name].slice(0, 79).join("") + "…" : name);
  // Ticks outlive a reload where the browser keeps such things for files.
  const key = "gatefold labels " + location.pathname;
  const kept = (() => { try { return JSON.parse(localStorage.getItem(key)) ?? {}; } catch { return {}; } })();
  const keep = (decisions) => { try { localStorage.setItem(key, JSON.stringify(decisions)); } catch { /* then they do not */ } };

  const bar = document.createElement("div");
  bar.className = "decisions";
  const told = document.createElement("span");
  const button = (text, name, action) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.className = name;
    made.addEventListener("click", action);
    return made;
  };
  const action = (row) => row.radios.find((radio) => radio.checked)?.value ?? "";
  const decided = () => rows.filter(action);
  const save = button("Save corrections.csv", "save", () => {
    // A spreadsheet would compute a cell that begins so; import takes the apostrophe away again.
    const text = (value) => (/^[=+\-@\t\r]/.test(value) ? "'" + value : value);
    const cell = (value) => (/[",\r\n]/.test(value) || value !== value.trim() ? `"${value.replaceAll('"', '""')}"` : value);
    const lines = decided().map((row) => {
      const [path, label, suggestion] = row.cover;
      const to = action(row) === "change" ? row.choice.value : suggestion;
      return [path, text(label), text(to), action(row)].map(cell).join(",");
    });
    const file = new Blob(["path,label,suggestion,action\r\n" + lines.map((line) => line + "\r\n").join("")], { type: "text/csv" });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = "corrections.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  });
  const clear = button("Clear", "", () => {
    if (!confirm("Forget all ticks of this page?")) return;
    rows.forEach((row) => row.radios.forEach((radio) => { radio.checked = false; }));
    changed();
  });
  bar.append(told, clear, save);
  document.querySelector("footer").before(bar);

  const changed = () => {
    const decisions = {}, counts = { keep: 0, change: 0, drop: 0 };
    for (const row of rows) {
      const done = action(row);
      row.item.classList.toggle("decided", done !== "");
      row.item.classList.toggle("dropped", done === "drop");
      if (!done) continue;
      counts[done] += 1;
      decisions[row.cover[0]] = [done, row.choice.value];
    }
    const all = decided().length;
    told.textContent = all
      ? `${all} of ${rows.length} decided: ${counts.keep} keep, ${counts.change} change, ${counts.drop} drop`
      : `None of ${rows.length} decided yet`;
    save.disabled = clear.disabled = !all;
    keep(decisions);
  };
  for (const row of rows) {
    // All classes for all covers would be a large page, so a list is filled when it is needed.
    const fill = () => {
      if (row.choice.length > 1) return;
      const chosen = row.choice.value;
      row.choice.replaceChildren(...classes.filter((name) => name !== row.cover[1] || name === chosen).map((name) => new Option(short(name), name, false, name === chosen)));
    };
    for (const event of ["focus", "pointerdown"]) row.choice.addEventListener(event, fill);
    row.choice.addEventListener("change", () => {
      row.radios.find((radio) => radio.value === "change").checked = true;
      changed();
    });
    row.radios.forEach((radio) => radio.addEventListener("change", changed));
    const [done, to] = kept[row.cover[0]] ?? [];
    const radio = row.radios.find((radio) => radio.value === done);
    if (!radio || (done === "change" && !classes.includes(to))) continue;
    radio.checked = true;
    if (done === "change") { fill(); row.choice.value = to; }
  }
  changed();
})();
