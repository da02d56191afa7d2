"use strict";
// What the page can do beyond being read. Nothing here writes markup: texts are set as texts.
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // Private windows and files opened from a disk may refuse to remember.
  const recall = (key) => { try { return localStorage.getItem("netquota." + key); } catch { return null; } };
  const remember = (key, value) => { try { localStorage.setItem("netquota." + key, value); } catch { /* for now only */ } };

  const setLanguage = (language) => {
    root.lang = language;
    const title = document.querySelector("title");
    document.title = language === "en" ? title.dataset.en : title.dataset.zh;
  };
  const setLook = (look) => { root.dataset.look = look; };

  const bind = (name, apply) => {
    const choices = all(`input[name=${name}]`);
    const wanted = choices.find((choice) => choice.value === recall(name)) || choices.find((choice) => choice.defaultChecked);
    wanted.checked = true;
    apply(wanted.value);
    for (const choice of choices) {
      choice.addEventListener("change", () => { apply(choice.value); remember(name, choice.value); });
    }
  };
  bind("language", setLanguage);
  bind("look", setLook);
  for (const part of all(".switches, .filter")) part.hidden = false;

  // Sorting
  const compareTexts = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" }).compare;
  const keyOf = (row, column) => {
    const cell = row.cells[column];
    // More than 2^53 bytes cannot be told apart as floating point.
    return cell.dataset.v === undefined ? cell.textContent : BigInt(cell.dataset.v);
  };
  const compare = (a, b) => typeof a === "bigint" ? (a < b ? -1 : a > b ? 1 : 0) : compareTexts(a, b);
  const sort = (table, head) => {
    const column = head.cellIndex;
    const isNumber = head.classList.contains("number");
    const order = head.getAttribute("aria-sort") || (isNumber ? "ascending" : "descending");
    const next = order === "ascending" ? "descending" : "ascending";
    for (const other of all("[aria-sort]", table)) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", next);
    const sign = next === "ascending" ? 1 : -1;
    const body = table.tBodies[0];
    const keyed = [...body.rows].map((row) => [keyOf(row, column), row]);
    keyed.sort((a, b) => sign * compare(a[0], b[0]));
    body.append(...keyed.map(([, row]) => row));
  };
  for (const head of all("th[data-sort]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(head.closest("table"), head));
  }

  // The filter
  const filter = document.getElementById("filter");
  if (filter) {
    const rows = all("#rows > tr").map((row) => [row.cells[0].textContent.toLowerCase(), row]);
    const shown = document.querySelector(".shown");
    const none = document.querySelector(".subjects .none");
    const apply = () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      for (const [text, row] of rows) {
        const fits = words.every((word) => text.includes(word));
        row.hidden = !fits;
        count += fits;
      }
      shown.textContent = count;
      none.hidden = count > 0;
    };
    filter.addEventListener("input", apply);
    // Browsers keep what was typed when a page is loaded again.
    if (filter.value) apply();
  }

  // The chart: values under the pointer, the finger, or the arrow keys
  for (const plot of all(".plot")) {
    const tip = plot.querySelector(".tip");
    const texts = new Map(all("[data-i]", plot).map((bar) => {
      const title = bar.querySelector("title");
      const text = title ? title.textContent : "";
      // The browser's own would be shown beside ours.
      if (title) title.remove();
      return [bar, text];
    }));
    let current = null;
    const hide = () => {
      tip.hidden = true;
      if (current) current.classList.remove("on");
      current = null;
    };
    const show = (bar) => {
      if (bar === current) return;
      if (current) current.classList.remove("on");
      current = bar;
      bar.classList.add("on");
      tip.textContent = texts.get(bar);
      tip.hidden = false;
      // Beside the bar, where there is room.
      const frame = plot.getBoundingClientRect();
      const box = bar.getBoundingClientRect();
      const right = box.right - frame.left + 8;
      const left = box.left - frame.left - 8 - tip.offsetWidth;
      const x = right + tip.offsetWidth <= frame.width ? right : Math.max(0, left);
      tip.style.transform = `translate(${Math.round(x)}px, ${Math.round(box.top - frame.top)}px)`;
    };
    const under = (event) => {
      const bar = event.target.closest("[data-i]");
      if (bar) show(bar); else hide();
    };
    plot.addEventListener("pointermove", under);
    plot.addEventListener("pointerdown", under);
    plot.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") hide(); });
    plot.addEventListener("blur", hide);
    document.addEventListener("pointerdown", (event) => { if (!plot.contains(event.target)) hide(); });
    plot.addEventListener("keydown", (event) => {
      const bars = [...texts.keys()].filter((bar) => bar.closest("[lang]").lang === root.lang);
      const at = bars.indexOf(current);
      const last = bars.length - 1;
      const to = { ArrowRight: Math.min(at + 1, last), ArrowLeft: at < 0 ? last : Math.max(at - 1, 0), Home: 0, End: last }[event.key];
      if (event.key === "Escape") hide();
      if (to === undefined || last < 0) return;
      event.preventDefault();
      show(bars[to]);
    });
    for (const choice of all("input[name=language]")) choice.addEventListener("change", hide);
  }
})();
