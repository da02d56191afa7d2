// Keeps the page current while somebody looks at it. What has changed comes as markup from where the page itself came
// from; it is parsed, never run, and only what differs is put in place, so that nothing that was typed, chosen, opened
// or scrolled to is lost.
(() => {
  const { all } = page;
  page.start();
  const main = document.querySelector("main");
  const banner = document.getElementById("trouble");
  const LONGEST_PAUSE = 120_000;
  const PATIENCE = 30_000;

  // What the script itself sets, and the server does not know.
  const OWN = new Set(["hidden", "open", "aria-sort"]);
  const keyOf = (node) => {
    if (node.nodeType !== Node.ELEMENT_NODE) return "";
    // A row is the one it was while it has the same names.
    if (node.localName === "tr") return all("b, small", node.cells[0]).map((name) => name.textContent).join("\n");
    // A column may come or go.
    if (node.matches("th[data-sort]")) return node.textContent;
    const heading = node.getAttribute("aria-labelledby");
    return node.id || (heading ? `${node.localName} ${heading}` : "");
  };
  const attributes = (old, fresh) => {
    for (const { name, value } of fresh.attributes) {
      if (!OWN.has(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) if (!OWN.has(name) && !fresh.hasAttribute(name)) old.removeAttribute(name);
  };
  const draw = (plot, fresh) => {
    const before = page.charts.get(plot);
    if (before.markup === fresh.outerHTML) return;
    const [hadFocus, index] = [document.activeElement === plot, before.at()];
    plot.replaceWith(fresh);
    page.enliven();
    if (hadFocus) fresh.focus({ preventScroll: true });
    if (index >= 0) page.charts.get(fresh).show(index);
  };
  const children = (old, fresh) => {
    const known = new Map();
    const others = [];
    for (const node of old.childNodes) {
      const key = keyOf(node);
      if (key && !known.has(key)) known.set(key, node); else others.push(node);
    }
    let next = old.firstChild;
    for (const node of [...fresh.childNodes]) {
      const key = keyOf(node);
      let here = known.get(key);
      if (here) known.delete(key);
      else if (!key) {
        const place = others.findIndex((other) => other.nodeName === node.nodeName && !keyOf(other));
        if (place >= 0) [here] = others.splice(place, 1);
      }
      if (!here) { old.insertBefore(node, next); continue; }
      if (here === next) next = next.nextSibling; else old.insertBefore(here, next);
      put(here, node);
    }
    for (const node of [...known.values(), ...others]) node.remove();
  };
  const put = (old, fresh) => {
    if (old.isEqualNode(fresh)) return;
    if (old.nodeName !== fresh.nodeName) return old.replaceWith(fresh);
    if (old.nodeType !== Node.ELEMENT_NODE) { old.data = fresh.data; return; }
    if (old.matches(".plot")) return draw(old, fresh);
    attributes(old, fresh);
    if (!old.matches("th[data-sort], input")) children(old, fresh);
  };

  // How long ago something was, by the server's clock.
  let ahead = 0;
  const setClock = (part) => { ahead = Number(part.dataset.at) - Date.now(); };
  const UNITS = [[86_400, "d", "天"], [3600, "h", "小时"], [60, "min", "分钟"], [1, "s", "秒"]];
  const age = (element) => {
    const seconds = Math.max(0, Math.floor((Date.now() + ahead - Number(element.dataset.age)) / 1000));
    const [size, en, zh] = UNITS.find(([unit]) => seconds >= unit * (unit === 86_400 ? 2 : 1)) || UNITS[3];
    const count = Math.floor(seconds / size);
    const [english, chinese] = element.children;
    const texts = [[english, `${count} ${en} ago`], [chinese, `${count} ${zh}前`]];
    for (const [place, text] of texts) if (place.textContent !== text) place.textContent = text;
  };
  const tick = () => { if (!document.hidden) for (const element of all("[data-age]")) age(element); };

  // The banner
  const say = (element, en, zh) => { [element.children[0].textContent, element.children[1].textContent] = [en, zh]; };
  let good = Date.now();
  const complain = (en, zh) => {
    const words = banner.querySelector(".words");
    if (words.children[0].textContent !== en || banner.hidden) say(words, en, zh);
    banner.querySelector("[data-age]").dataset.age = good + ahead;
    banner.hidden = false;
    tick();
  };
  const COLON = { en: ": ", zh: "：" };
  const because = (text, language) => text ? COLON[language] + text : "";

  class Refused extends Error {
    constructor(en, zh, final = false) { super(en); Object.assign(this, { zh, final }); }
  }
  const reasonOf = async (answer) => {
    try { return String(JSON.parse(await answer.text()).message || "").slice(0, 300); } catch { return ""; }
  };
  const NO_ANSWER = ["The hub does not answer.", "服务器没有响应。"];

  const tags = new Map(all("[data-part]").map((part) => [part.id, part.dataset.tag]));
  const fetchPart = async (id) => {
    const address = new URL(location.href);
    address.hash = address.username = address.password = "";
    address.searchParams.set("part", document.getElementById(id).dataset.part);
    // By its second header the hub knows that nobody is to be asked for a password while this looks.
    const headers = { "If-None-Match": tags.get(id), "X-Requested-With": "netquota" };
    const options = { headers, cache: "no-store", signal: AbortSignal.timeout(PATIENCE) };
    let answer;
    try { answer = await fetch(address, options); } catch { throw new Refused(...NO_ANSWER); }
    if (answer.status === 304) return;
    if (answer.status === 401) throw new Refused("The hub asks who you are.", "服务器要求重新登录。", true);
    if (!answer.ok) {
      const reason = await reasonOf(answer);
      throw new Refused(
        `The hub answers with an error (${answer.status})${because(reason, "en")}`,
        `服务器返回错误（${answer.status}）${because(reason, "zh")}`);
    }
    let text;
    try { text = await answer.text(); } catch { throw new Refused(...NO_ANSWER); }
    const fresh = new DOMParser().parseFromString(text, "text/html").getElementById(id);
    const here = document.getElementById(id);
    if (!fresh) throw new Refused("Something else than the hub answers.", "响应的不是本服务。");
    if (fresh.dataset.version !== here.dataset.version) {
      throw new Refused("The hub has another version now.", "服务器版本已更新。", true);
    }
    put(here, fresh);
    tags.set(id, fresh.dataset.tag);
    if (fresh.dataset.en) {
      Object.assign(document.querySelector("title").dataset, { en: fresh.dataset.en, zh: fresh.dataset.zh });
      page.setTitle();
    }
    setClock(here);
    page.enliven();
    for (const table of all("table", here)) page.order(table);
    for (const filter of all(".filter input", here)) page.find(filter);
  };

  let timer = null;
  let looking = false;
  let failures = 0;
  const look = async () => {
    clearTimeout(timer);
    if (document.hidden || looking) return;
    looking = true;
    let givenUp = false;
    try {
      for (const id of tags.keys()) await fetchPart(id);
      [failures, good] = [0, Date.now()];
      banner.hidden = true;
    } catch (error) {
      failures += 1;
      const known = error instanceof Refused;
      complain(known ? error.message : String(error), known ? error.zh : String(error));
      givenUp = known && error.final;
      banner.querySelector(".again").hidden = !givenUp;
      banner.querySelector(".trying").hidden = givenUp;
    }
    looking = false;
    tick();
    // To ask again would have the browser ask its user for a password each time.
    if (givenUp) return;
    const pause = Number(main.dataset.every) * 2 ** Math.min(failures, 10);
    if (!document.hidden) timer = setTimeout(look, failures ? Math.min(pause, LONGEST_PAUSE) : pause);
  };
  // Whoever comes back wants to see what is, and what is hidden asks for nothing: the hub can go to sleep.
  document.addEventListener("visibilitychange", () => { if (document.hidden) clearTimeout(timer); else look(); });
  addEventListener("online", look);
  addEventListener("pageshow", (event) => { if (event.persisted) look(); });
  banner.querySelector(".again").addEventListener("click", () => location.reload());

  for (const part of all("[data-part]")) setClock(part);
  tick();
  setInterval(tick, 1000);
  if (!document.hidden) timer = setTimeout(look, Number(main.dataset.every));
})();
