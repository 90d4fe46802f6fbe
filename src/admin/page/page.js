// The live page. The address after '#' selects the view, so that each can be linked; views render from the model and are
// updated when it changes.
import {makeCommit} from "./commit.js";
import {chooseUtc, set, setText, tickAll, timeZone} from "./dom.js";
import {makeFailures} from "./failures.js";
import {showHealth, showTroubles} from "./health.js";
import {makeLatency} from "./latency.js";
import {state} from "./model.js";
import {makeNow} from "./now.js";
import {arrive, leave, watchPlace} from "./place.js";
import {makePool} from "./pool.js";
import {makeRun} from "./run.js";
import {makeRuns} from "./runs.js";
import {followWhile, keepUpToDate} from "./stream.js";
import {makeUnknown} from "./unknown.js";

const main = document.getElementById("main"), zone = document.getElementById("zone");
// {name, title, root, search?, update?(), tick?(), close?(), isFinished?()}. isFinished(): true if what it shows does not
// change any more, undefined if that is not known yet.
let view = null;
let wantsSearch = false; // when the next view is shown

// By the path after '#': what makes the view. `match`: the path's; `parameters`: those after '?'.
const ROUTES = [
  [/^\/?$/, () => makeNow()],
  [/^\/runs$/, (match, parameters) => makeRuns(parameters)],
  [/^\/runs\/(\d+)\/(\d+)$/, (match, parameters) => makeRun(match[1], match[2], parameters)],
  [/^\/pools\/(.+)$/, (match, parameters) => makePool(match[1], parameters)],
  [/^\/commits\/([0-9A-Za-z]+)$/, (match, parameters) => makeCommit(match[1], parameters)],
  [/^\/failures$/, (match, parameters) => makeFailures(parameters)],
  [/^\/latency$/, (match, parameters) => makeLatency(parameters)],
];

function makeView() {
  const [path, ...query] = location.hash.replace(/^#/, "").split("?");
  for (const [pattern, make] of ROUTES) {
    const match = pattern.exec(path);
    if (match) return make(match, new URLSearchParams(query.join("?")));
  }
  return makeUnknown(location.hash);
}

function follow() {
  const finished = view.isFinished ? view.isFinished() : false;
  state.hasEnded = finished === true;
  followWhile(!document.hidden && finished === false);
}

function showTitle() {
  const title = `${view.title} · ghatrace`;
  if (document.title !== title) document.title = title;
}

function makeAndShow() {
  if (view && view.close) view.close();
  view = makeView();
  for (const entry of document.querySelectorAll("header nav a")) set(entry, {"aria-current": entry.dataset.view === view.name ? "page" : null});
  main.replaceChildren(view.root);
  showTitle();
  if (view.update) view.update();
}

function route() {
  const isFirst = view === null;
  leave();
  makeAndShow();
  arrive(main, isFirst);
  if (wantsSearch && view.search) view.search.focus();
  wantsSearch = false;
  follow();
}

function show() {
  showHealth();
  showTroubles();
  if (view.update) view.update();
  showTitle();
  follow();
}

function showZone() {
  const {isUtc, name, short, isOnlyUtc} = timeZone();
  setText(zone, short);
  set(zone, {disabled: isOnlyUtc, "aria-label": `${short}: times are in ${name}; show ${isUtc ? "local time" : "UTC"}`, title: `Times are in ${name}. Show ${isUtc ? "local time" : "UTC"}.`});
}

// The view is made again: all its times follow, and its state is in the address.
zone.addEventListener("click", () => {
  chooseUtc(!timeZone().isUtc);
  showZone();
  const top = scrollY;
  makeAndShow();
  scrollTo({top, behavior: "instant"});
  show();
});

// Without a new address: "#main" would be an entry of the history, and replace the view's address.
document.querySelector(".skip-link").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});

addEventListener("hashchange", route);
addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  event.preventDefault();
  wantsSearch = !view.search;
  if (view.search) view.search.focus();
  else location.hash = "#/runs";
});
document.addEventListener("visibilitychange", follow);
addEventListener("pagehide", () => followWhile(false));
addEventListener("pageshow", follow);
setInterval(() => {
  if (document.hidden) return;
  tickAll();
  showHealth();
  if (view.tick) view.tick();
  follow();
}, 1000);
// The page's head covers what is scrolled below it: an axis stays under it, and what gets the focus is not hidden.
new ResizeObserver(([{target}]) => document.documentElement.style.setProperty("--under", `${target.offsetHeight}px`)).observe(document.querySelector("header"));
keepUpToDate(show);
showZone();
watchPlace(main);
route();
