"use strict";
// What the page can do beyond being read. Nothing here writes markup: texts are set as texts.
const page = (() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // Private windows and files opened from a disk may refuse to remember.
  const recall = (key) => { try { return localStorage.getItem("netquota." + key); } catch { return null; } };
  const remember = (key, value) => { try { localStorage.setItem("netquota." + key, value); } catch { /* for now only */ } };

  const setTitle = () => {
    const title = document.querySelector("title");
    document.title = root.lang === "en" ? title.dataset.en : title.dataset.zh;
  };
  const setLanguage = (language) => { root.lang = language; setTitle(); };
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

  // Sorting
  const compareTexts = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" }).compare;
  const keyOf = (row, column) => {
    const cell = row.cells[column];
    // More than 2^53 bytes cannot be told apart as floating point.
    return cell.dataset.v === undefined ? cell.textContent : BigInt(cell.dataset.v);
  };
  const compare = (a, b) => typeof a === "bigint" ? (a < b ? -1 : a > b ? 1 : 0) : compareTexts(a, b);
  // Puts the rows in the order that was chosen.
  const order = (table) => {
    const head = table.querySelector("[aria-sort]");
    if (!head) return;
    const column = head.cellIndex;
    const sign = head.getAttribute("aria-sort") === "ascending" ? 1 : -1;
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const keyed = rows.map((row) => [keyOf(row, column), row]);
    keyed.sort((a, b) => sign * compare(a[0], b[0]));
    if (keyed.some(([, row], index) => row !== rows[index])) body.append(...keyed.map(([, row]) => row));
  };
  const sort = (table, head) => {
    const isNumber = head.classList.contains("number");
    const before = head.getAttribute("aria-sort") || (isNumber ? "ascending" : "descending");
    for (const other of all("[aria-sort]", table)) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", before === "ascending" ? "descending" : "ascending");
    order(table);
  };
  const headed = (head) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(head.closest("table"), head));
  };

  // The filter
  const find = (filter) => {
    const section = filter.closest("section");
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of document.getElementById(filter.getAttribute("aria-controls")).rows) {
      const text = words.length ? row.cells[0].textContent.toLowerCase() : "";
      const fits = words.every((word) => text.includes(word));
      row.hidden = !fits;
      count += fits;
    }
    section.querySelector(".shown").textContent = count;
    section.querySelector(".none").hidden = count > 0;
  };
  const searched = (box) => {
    box.hidden = false;
    const filter = box.querySelector("input");
    filter.addEventListener("input", () => find(filter));
    // Browsers keep what was typed when a page is loaded again.
    if (filter.value) find(filter);
  };

  // The chart: values under the pointer, the finger, or the arrow keys
  const charts = new Map();
  const chart = (plot) => {
    const tip = plot.querySelector(".tip");
    const markup = plot.outerHTML;
    const texts = new Map(all("[data-i]", plot).map((bar) => {
      const title = bar.querySelector("title");
      const text = title ? title.textContent : "";
      // The browser's own would be shown beside ours.
      if (title) title.remove();
      return [bar, text];
    }));
    let current = null;
    const bars = () => [...texts.keys()].filter((bar) => bar.closest("[lang]").lang === root.lang);
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
    plot.addEventListener("keydown", (event) => {
      const at = bars().indexOf(current);
      const last = bars().length - 1;
      const to = { ArrowRight: Math.min(at + 1, last), ArrowLeft: at < 0 ? last : Math.max(at - 1, 0), Home: 0, End: last }[event.key];
      if (event.key === "Escape") hide();
      if (to === undefined || last < 0) return;
      event.preventDefault();
      show(bars()[to]);
    });
    const at = () => bars().indexOf(current);
    charts.set(plot, { markup, hide, at, show: (index) => { if (bars()[index]) show(bars()[index]); } });
  };
  document.addEventListener("pointerdown", (event) => {
    for (const [plot, { hide }] of charts) if (!plot.contains(event.target)) hide();
  });

  // Makes work what has come into the page.
  const enliven = () => {
    for (const head of all("th[data-sort]")) if (!head.querySelector("button")) headed(head);
    for (const box of all(".filter[hidden]")) searched(box);
    for (const plot of charts.keys()) if (!plot.isConnected) charts.delete(plot);
    for (const plot of all(".plot")) if (!charts.has(plot)) chart(plot);
  };
  const start = () => {
    bind("language", setLanguage);
    bind("look", setLook);
    for (const part of all(".switches")) part.hidden = false;
    enliven();
    for (const choice of all("input[name=language]")) {
      choice.addEventListener("change", () => { for (const { hide } of charts.values()) hide(); });
    }
  };
  return { all, charts, enliven, find, order, setTitle, start };
})();
