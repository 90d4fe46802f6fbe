// The live page. The address after '#' selects the view, so that each can be linked; views render from the model and are
// updated when it changes.
import {set, tickAll} from "./dom.js";
import {showHealth, showTroubles} from "./health.js";
import {makeLatency} from "./latency.js";
import {makeNow} from "./now.js";
import {makeRun} from "./run.js";
import {makeRuns} from "./runs.js";
import {keepUpToDate} from "./stream.js";

const main = document.getElementById("main");
let view = null; // {name, title, root, search?, update?(), tick?(), close?()}
let wantsSearch = false; // when the next view is shown

// By the path after '#': what makes the view. `match`: the path's; `parameters`: those after '?'.
const ROUTES = [
  [/^\/?$/, () => makeNow()],
  [/^\/runs$/, (match, parameters) => makeRuns(parameters)],
  [/^\/runs\/(\d+)\/(\d+)$/, (match, parameters) => makeRun(match[1], match[2], parameters.get("server"))],
  [/^\/latency$/, (match, parameters) => makeLatency(parameters)],
];

function makeView(path, parameters) {
  for (const [pattern, make] of ROUTES) {
    const match = pattern.exec(path);
    if (match) return make(match, parameters);
  }
  return makeNow();
}

function route() {
  const [path, query] = location.hash.replace(/^#/, "").split("?");
  if (path === "main") return; // the skip link
  if (view && view.close) view.close();
  view = makeView(path, new URLSearchParams(query || ""));
  for (const entry of document.querySelectorAll("header nav a")) set(entry, {"aria-current": entry.dataset.view === view.name ? "page" : null});
  document.title = `${view.title} · ghatrace`;
  main.replaceChildren(view.root);
  scrollTo(0, 0);
  if (view.update) view.update();
  if (wantsSearch && view.search) view.search.focus();
  wantsSearch = false;
}

function show() {
  showHealth();
  showTroubles();
  if (view && view.update) view.update();
}

addEventListener("hashchange", route);
addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  event.preventDefault();
  wantsSearch = !view.search;
  if (view.search) view.search.focus();
  else location.hash = "#/runs";
});
setInterval(() => {
  if (document.hidden) return;
  tickAll();
  showHealth();
  if (view && view.tick) view.tick();
}, 1000);
route();
keepUpToDate(show);
