// Finished runs by their ends, and the search among them and those in progress.
import {clock, duration, el, keyed, name, resultWord, roundDuration, setText, tableHead} from "./dom.js";
import {failure, get, state} from "./model.js";
import {commitPage, pageOf, remember, repository} from "./address.js";

const FILTERS = ["q", "repository", "workflow", "branch", "result"];
const PAGE = 50, PAGES_MAX = 20; // loaded at once from an address
const REFRESH_MS = 4000;

const keyOf = (run) => `${run.server} ${run.run_id} ${run.run_attempt}`;
const wordOf = (run) => run.incomplete ? "incomplete" : run.conclusion ? run.conclusion.replaceAll("_", " ") : resultWord(run.result);
const titleOf = (run) => [name(run.workflow, "workflow"), run.run_number ? ` #${run.run_number}` : "", run.run_attempt > 1 ? ` attempt ${run.run_attempt}` : ""];

export function makeRuns(parameters) {
  const rows = el("tbody"), openRows = el("tbody"), words = el("div", {class: "empty", hidden: true}), more = el("button", {class: "plain", type: "button", hidden: true}, "More");
  const input = (key, title, kind) => el("input", {type: kind || "text", name: key, value: parameters.get(key) || "", placeholder: title, "aria-label": title, autocomplete: "off", spellcheck: "false"});
  const result = el("select", {name: "result", "aria-label": "Result"}, ...["", "success", "failure", "cancellation", "timeout", "skip", "error"].map((value) =>
    el("option", {value, selected: value === (parameters.get("result") || "")}, value ? resultWord(value) : "any result")));
  const form = el("form", {class: "search", role: "search"}, input("q", "Search, or paste a URL or an ID  ( / )", "search"), input("repository", "Repository"), input("workflow", "Workflow"), input("branch", "Branch"), result);
  const table = (title, body) => el("div", {class: "scroll"}, el("table", {"aria-label": title}, tableHead(["run"], ["result"], ["took", "number"], ["branch", "optional"], ["ended", "number"]), body));
  const openBox = el("section", {hidden: true, "aria-label": "In progress"}, el("h2", null, "In progress"), table("Runs in progress", openRows));
  const box = table("Finished runs", rows), finishedHead = el("h2", {hidden: true}, "Finished");
  const count = el("p", {class: "dim small count", role: "status"}), go = el("p", {class: "go", hidden: true});
  const newer = el("button", {class: "plain newer", type: "button", hidden: true});
  const root = el("div", {class: "runs-view"}, el("h1", null, "Finished runs"), form, go, count, words, openBox, finishedHead, el("div", {class: "newer-place"}, newer), box, el("p", null, more));
  let list = [], next = null, pages = 0, found = null; // `found`: what the first page says of the search
  let asked = 0, timer = 0, isLoading = false, wantsGo = false, held = null, refreshed = 0, known = null;

  function query() {
    const wanted = new URLSearchParams();
    for (const key of FILTERS) if (form.elements[key].value) wanted.set(key, form.elements[key].value);
    return wanted;
  }

  function keepAddress() {
    const wanted = query();
    if (pages > 1) wanted.set("pages", String(pages));
    remember(wanted);
  }

  const page = (cursor, extra) => {
    const wanted = query();
    if (cursor) wanted.set("cursor", cursor);
    for (const [key, value] of Object.entries(extra || {})) wanted.set(key, value);
    wanted.set("limit", String(PAGE));
    return get(`api/runs?${wanted}`);
  };

  // --- rows ---

  function fill(row, run) {
    const content = JSON.stringify(run);
    if (row.dataset.content === content) return;
    row.dataset.content = content;
    const isOpen = run.state === "open";
    row.replaceChildren(el("td", null, el("a", {href: pageOf(run)}, ...titleOf(run)),
      el("div", {class: "dim small"}, repository(run), run.title ? " · " : "", run.title ? name(run.title) : null)),
    el("td", null, el("span", {class: `state ${isOpen ? "running" : run.result || ""}`}, isOpen ? "in progress" : wordOf(run))),
    el("td", {class: "number"}, isOpen ? "–" : duration(run.duration_seconds)), el("td", {class: "optional"}, name(run.branch, "–")),
    el("td", {class: "number"}, run.ended_at ? clock(run.ended_at) : "–"));
  }

  const draw = (body, runs) => keyed(body, runs, keyOf, () => el("tr"), fill);

  function render() {
    draw(rows, list);
    box.hidden = list.length === 0;
    more.hidden = !next;
    words.hidden = list.length > 0 || openRows.children.length > 0 || !go.hidden;
    if (!words.hidden) words.replaceChildren(...emptyWords());
  }

  // What the search names: a run, or a commit.
  function destinations(open) {
    if (!found || !found.search) return [];
    const {search, direct} = found, wanted = [];
    const byJob = [...list, ...open].filter((run) => run.job_id);
    for (const run of [...direct, ...byJob]) wanted.push({address: pageOf(run), words: ["Go to ", run.job_id ? "the run of this job: " : "run ", repository(run), " ", ...titleOf(run)]});
    if (search.commit) wanted.push({address: commitPage(search.commit.toLowerCase()), words: ["Go to commit ", el("code", null, search.commit)]});
    return wanted;
  }

  function showDestinations(open) {
    const wanted = destinations(open);
    go.hidden = wanted.length === 0;
    go.replaceChildren(...wanted.map(({address, words: text}) => el("a", {href: address}, ...text)), el("span", {class: "dim small"}, wanted.length > 0 ? "Enter" : ""));
  }

  function emptyWords() {
    const isFiltered = query().size > 0;
    if (isFiltered && next) return [el("p", null, "Nothing among the newest runs; “More” looks further back.")];
    if (isFiltered) return [el("p", null, el("strong", null, "No finished run matches.")), el("p", null, el("button", {class: "plain", type: "button", onclick: clear}, "Clear the search"))];
    const kept = state.status ? roundDuration(state.status.history_seconds) : "a while";
    return [el("p", null, el("strong", null, "No finished run is in the store.")), el("p", null, `Runs appear here when they end, and stay for ${kept} (the setting history).`)];
  }

  // --- loading ---

  // From the newest run on, as many pages as there were.
  async function load(wantedPages) {
    const mine = ++asked, isFiltered = query().size > 0;
    isLoading = true;
    hold(null);
    try {
      const [first, open] = await Promise.all([page(null), isFiltered ? page(null, {state: "open"}) : {runs: []}]);
      let runs = first.runs, cursor = first.next, loaded = 1;
      for (; cursor && loaded < wantedPages; loaded++) {
        const following = await page(cursor);
        runs = runs.concat(following.runs);
        cursor = following.next;
      }
      if (mine !== asked) return; // a later request was sent
      [list, next, pages, found] = [runs, cursor, loaded, first];
      draw(openRows, open.runs);
      openBox.hidden = open.runs.length === 0;
      finishedHead.hidden = openBox.hidden || list.length === 0;
      showDestinations(open.runs);
      render();
      setText(count, list.length === 0 ? "" : `${list.length}${next ? " or more" : ""} ${list.length === 1 ? "run" : "runs"}, the last to end first`);
      isLoading = false;
      if (wantsGo) leave();
    } catch (error) {
      if (mine !== asked) return;
      isLoading = wantsGo = false;
      words.hidden = false;
      words.replaceChildren(failure(error));
    }
  }

  async function loadMore() {
    const mine = asked;
    try {
      const following = await page(next);
      if (mine !== asked) return;
      const place = list.length, keys = new Set(list.map(keyOf));
      list = list.concat(following.runs.filter((run) => !keys.has(keyOf(run)))); // its end may have been corrected
      next = following.next;
      pages++;
      render();
      setText(count, `${list.length}${next ? " or more" : ""} runs, the last to end first`);
      keepAddress();
      if (!next && rows.children[place]) rows.children[place].querySelector("a").focus();
    } catch (error) {
      words.hidden = false;
      words.replaceChildren(failure(error));
    }
  }

  // --- runs that end meanwhile ---

  // Nothing moves under a pointer, a focus or a selection, or while somebody reads further down.
  function isBeingRead() {
    const selection = getSelection();
    return scrollY > 40 || box.matches(":hover, :focus-within") || !selection.isCollapsed && box.contains(selection.anchorNode);
  }

  function hold(answer) {
    const keys = new Set(list.map(keyOf)), fresh = answer ? answer.runs.filter((run) => !keys.has(keyOf(run))) : [];
    held = fresh.length > 0 ? answer : null;
    newer.hidden = !held;
    if (held) setText(newer, `${fresh.length}${fresh.length === answer.runs.length && list.length > 0 ? " or more" : ""} newer ${fresh.length === 1 ? "run" : "runs"}: show`);
  }

  function take(answer) {
    const keys = new Set(answer.runs.map(keyOf)), rest = list.filter((run) => !keys.has(keyOf(run)));
    const isConnected = rest.length < list.length || !answer.next;
    const last = answer.runs.length > 0 ? answer.runs[answer.runs.length - 1].ended_at : "";
    list = isConnected ? answer.runs.concat(rest.filter((run) => run.ended_at <= last)) : answer.runs;
    if (!isConnected || pages <= 1) [next, pages] = [answer.next, 1];
    hold(null);
    render();
  }

  async function refresh() {
    const mine = asked;
    refreshed = Date.now();
    try {
      const answer = await page(null);
      if (mine !== asked || isLoading) return;
      if (isBeingRead()) hold(answer);
      else take(answer);
    } catch { /* the next change asks again; that requests fail is said above */ }
  }

  newer.addEventListener("click", () => {
    const answer = held;
    if (!answer) return;
    take(answer);
    scrollTo(0, 0);
    const first = rows.querySelector("a");
    if (first) first.focus({preventScroll: true});
  });

  // --- the form ---

  function leave() {
    wantsGo = false;
    const first = go.querySelector("a");
    if (first) location.hash = first.hash;
  }

  function clear() {
    for (const key of FILTERS) form.elements[key].value = "";
    changed();
    form.elements.q.focus();
  }

  function changed() {
    clearTimeout(timer);
    wantsGo = false;
    pages = 1;
    keepAddress();
    isLoading = true;
    timer = setTimeout(() => load(1), 150);
  }

  form.addEventListener("input", changed);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") clear();
    if (event.key !== "Enter" || event.target.name !== "q" || event.isComposing) return;
    event.preventDefault();
    if (isLoading) wantsGo = true;
    else leave();
  });
  more.addEventListener("click", loadMore);
  box.hidden = true;
  load(Math.min(PAGES_MAX, Number(parameters.get("pages")) || 1));
  const catchUp = () => {
    const finished = state.status && state.status.store.finished_runs;
    if (known === null) known = finished;
    if (finished === known || isLoading || Date.now() - refreshed < REFRESH_MS) return;
    known = finished;
    refresh();
  };
  return {name: "runs", title: "runs", root, search: form.elements.q, update: catchUp, tick: catchUp, close() {
    clearTimeout(timer);
    asked++;
  }};
}
