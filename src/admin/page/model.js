// What is known of the daemon: filled by the stream and by requests; views render from it.
import {el, learnClock} from "./dom.js";

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
