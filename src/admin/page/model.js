// What is known of the daemon: filled by the stream and by requests; views render from it.
import {el, learnClock, roundDuration} from "./dom.js";

export const ASK_MS = 5000; // interval of requests while no events arrive
// `wantsEvents`: the page is visible, and its view may change (null: not known yet); `since`: from when on. `hasEnded`: what the
// view shows does not change any more. `isLive`: events arrive. `heard`: when
// the last one did; 0: none yet. `isLost`: requests are not answered, either. `hasWorker`: the browser has shared workers.
export const state = {queue: null, runs: null, status: null, wantsEvents: null, hasEnded: false, since: 0, isLive: false, heard: 0, isLost: false, hasWorker: true};

// The page's own address, without user and password, which browsers refuse in requests of a page.
const HERE = location.origin + location.pathname;

// `path` is relative to the page: "api/status".
export async function get(path) {
  const answer = await fetch(new URL(path.replace(/^\//, ""), HERE), {headers: {accept: "application/json"}});
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(body.error || `${path} was answered ${answer.status}`), {status: answer.status});
  learnClock(body.now);
  return body;
}

export function failure(error) {
  return el("div", {class: "empty", role: "alert"}, el("p", null, el("strong", null, "The request failed: "), error.message));
}

const NOT_FOUND = 404;

// What is shown in place of a run, a commit or a pool that the server does not have; null: the request failed for another
// reason. `what`: nodes, "run 7"; `more`: a further reason.
export function missing(error, what, more) {
  if (error.status !== NOT_FOUND) return null;
  const kept = state.status ? ` more than ${roundDuration(state.status.history_seconds)} ago` : " too long ago";
  return el("div", null, el("h1", null, "There is no ", ...what, " here"), el("div", {class: "empty"}, el("p", null, "It may be that it"), el("ul", null,
    el("li", null, more || `ended${kept} (the setting history)`), el("li", null, "was not received yet, or GitHub does not send its events to this server"), el("li", null, "belongs to another server")),
  el("p", null, "What is known is under ", el("a", {href: "#/"}, "Now"), " and ", el("a", {href: "#/runs"}, "Runs"), ".")));
}
