// Keeps the model up to date: by events of the daemon, or by requests at intervals while none arrive.
import {learnClock} from "./dom.js";
import {ASK_MS, get, state} from "./model.js";

const QUIET_MS = 40000;  // an event arrives every 15 s, with or without changes
const CHECK_MS = 1000;
const FIRST_MS = 1000;   // events that have not arrived by then are asked for
const STATUS_MS = 30000; // interval of requests while a view needs no events
let worker = null, show = null, asked = 0;

function hear() {
  Object.assign(state, {isLive: true, isLost: false, heard: Date.now()});
}

function take({kind, data}) {
  if (!state.wantsEvents) return; // sent before the worker knew
  if (kind === "lost") Object.assign(state, {isLive: false, isLost: true});
  else hear();
  if (data) {
    state[kind] = JSON.parse(data);
    learnClock(state[kind].now);
  }
  if (kind === "status" || kind === "lost") show(); // status: the last of three
}

// Each version of the page has its own worker: its address contains the version. null: this browser has none, or refuses it.
function startWorker() {
  const fail = () => {
    worker = null;
    state.hasWorker = false;
  };
  try {
    const shared = new SharedWorker(new URL("worker.js", import.meta.url), {name: "ghatrace"});
    shared.onerror = fail;
    worker = shared.port;
    worker.onmessage = ({data}) => take(data);
  } catch {
    fail();
  }
}

async function ask(paths) {
  asked = Date.now();
  try {
    const found = await Promise.all(Object.values(paths).map(get));
    if (state.isLive) return; // events received since then are newer
    Object.keys(paths).forEach((key, i) => { state[key] = found[i]; });
    state.isLost = false;
  } catch {
    state.isLost = true;
  }
  show();
}

const STATUS = {status: "api/status"};
const ALL = {queue: "api/queue?limit=100&pools=100", runs: "api/runs?state=open&limit=50&jobs=10", ...STATUS};

// In addition to the stream: a proxy may hold back events indefinitely, while plain responses pass through any proxy.
function check() {
  if (document.hidden) return;
  if (!state.wantsEvents) {
    if (!state.status || Date.now() - asked >= STATUS_MS) ask(STATUS);
    return;
  }
  if (worker) worker.postMessage({wants: true}); // again: the worker forgets tabs that are silent
  if (state.heard > 0 && Date.now() - state.heard > QUIET_MS) state.isLive = false;
  if (!state.isLive && Date.now() - asked >= ASK_MS) ask(ALL);
}

// No events for a hidden page, nor for one that shows what has ended.
export function followWhile(wants) {
  if (wants === state.wantsEvents) return;
  Object.assign(state, {wantsEvents: wants, since: Date.now(), heard: 0, isLive: false});
  if (worker) worker.postMessage({wants});
  setTimeout(check, wants && worker ? FIRST_MS : 0);
}

// `changed()` is called whenever the model has changed.
export function keepUpToDate(changed) {
  show = changed;
  startWorker();
  setInterval(check, CHECK_MS);
}
