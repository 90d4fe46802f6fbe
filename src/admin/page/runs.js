// Finished runs, and the search among them.
import {ageOf, duration, el, name, resultWord, setText, tableHead} from "./dom.js";
import {failure, get, state} from "./model.js";
import {pageOf, remember, repository} from "./address.js";

const FILTERS = ["q", "repository", "workflow", "branch", "result"];

export function makeRuns(parameters) {
  const rows = el("tbody"), words = el("div", {class: "empty", hidden: true}), more = el("button", {class: "plain", type: "button", hidden: true}, "More");
  const input = (key, title, kind) => el("input", {type: kind || "text", name: key, value: parameters.get(key) || "", placeholder: title, "aria-label": title, autocomplete: "off"});
  const result = el("select", {name: "result", "aria-label": "Result"}, ...["", "success", "failure", "cancellation", "timeout", "skip", "error"].map((value) =>
    el("option", {value, selected: value === (parameters.get("result") || "")}, value ? resultWord(value) : "any result")));
  const form = el("form", {class: "search", role: "search"}, input("q", "Search: name, branch, title, run id  ( / )", "search"), input("repository", "Repository"), input("workflow", "Workflow"), input("branch", "Branch"), result);
  const box = el("div", {class: "scroll", hidden: true}, el("table", null, tableHead(["run"], ["result"], ["took", "number"], ["branch", "optional"], ["ended", "number optional"]), rows));
  const count = el("p", {class: "dim small count", role: "status"});
  const root = el("div", null, el("h1", null, "Recent runs"), form, count, words, box, el("p", null, more));
  let asked = 0, timer = 0, next = null;

  function query() {
    const wanted = new URLSearchParams();
    for (const key of FILTERS) if (form.elements[key].value) wanted.set(key, form.elements[key].value);
    return wanted;
  }

  function row(run) {
    return el("tr", null, el("td", null, el("a", {href: pageOf(run)}, name(run.workflow, "workflow"), run.run_number ? ` #${run.run_number}` : "", run.run_attempt > 1 ? ` attempt ${run.run_attempt}` : ""),
      el("div", {class: "dim small"}, repository(run), run.title ? " · " : "", run.title ? name(run.title) : null)),
    el("td", null, el("span", {class: `state ${run.result || ""}`}, run.incomplete ? "incomplete" : resultWord(run.result))),
    el("td", {class: "number"}, duration(run.duration_seconds)), el("td", {class: "optional"}, name(run.branch, "–")),
    el("td", {class: "number optional"}, ageOf(run.ended_at), " ago"));
  }

  async function load(cursor) {
    const mine = ++asked, wanted = query();
    const isFiltered = wanted.size > 0;
    if (cursor) wanted.set("cursor", cursor);
    wanted.set("limit", "50");
    try {
      const answer = await get(`api/runs?${wanted}`);
      if (mine !== asked) return; // a later request was sent
      if (!cursor) rows.replaceChildren();
      rows.append(...answer.runs.map(row));
      next = answer.next;
      more.hidden = !next;
      box.hidden = rows.children.length === 0;
      setText(count, rows.children.length === 0 ? "" : `${rows.children.length}${next ? " or more" : ""} runs`);
      words.hidden = rows.children.length > 0;
      words.replaceChildren(...emptyWords(isFiltered));
    } catch (error) {
      words.hidden = false;
      words.replaceChildren(failure(error));
    }
  }

  function emptyWords(isFiltered) {
    if (isFiltered && next) return [el("p", null, "Nothing among the newest runs; “More” looks further back.")];
    if (isFiltered) return [el("p", null, el("strong", null, "No finished run matches.")), el("p", null, el("button", {class: "plain", type: "button", onclick: clear}, "Clear the search"))];
    const kept = state.status ? duration(state.status.history_seconds) : "a while";
    return [el("p", null, el("strong", null, "No finished run is in the store.")), el("p", null, `Runs appear here when they end, and stay for ${kept} (the setting history).`)];
  }

  function clear() {
    form.reset();
    for (const key of FILTERS) form.elements[key].value = "";
    changed();
    form.elements.q.focus();
  }

  function changed() {
    clearTimeout(timer);
    remember(query());
    timer = setTimeout(() => load(null), 150);
  }

  form.addEventListener("input", changed);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("keydown", (event) => event.key === "Escape" && clear());
  more.addEventListener("click", () => load(next));
  load(null);
  // Newly finished runs, unless the user is reading further down.
  let known = null;
  return {name: "runs", title: "runs", root, search: form.elements.q, update() {
    const finished = state.status && state.status.store.finished_runs;
    if (known !== null && finished !== known && rows.children.length <= 50) load(null);
    known = finished;
  }};
}
