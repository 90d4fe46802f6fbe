// Keeps the model up to date: by events of the daemon, or by requests at intervals while none arrive.
import {learnClock} from "./dom.js";
import {ASK_MS, get, state} from "./model.js";

const QUIET_MS = 40000; // an event arrives every 15 s, with or without changes

function follow(show) {
  const stream = new EventSource("/api/live");
  const hear = () => {
    Object.assign(state, {isLive: true, isLost: false, heard: Date.now()});
  };
  const take = (key) => (event) => {
    hear();
    state[key] = JSON.parse(event.data);
    learnClock(state[key].now);
    if (key === "status") show(); // the last of the three
  };
  for (const key of ["queue", "runs", "status"]) stream.addEventListener(key, take(key));
  stream.addEventListener("quiet", hear);
  stream.onerror = () => {
    Object.assign(state, {isLive: false, isLost: true});
    show();
    // A browser does not reconnect by itself after a response that is not a stream.
    if (stream.readyState === EventSource.CLOSED) setTimeout(() => follow(show), 3000);
  };
}

// In addition to the stream: a proxy may hold back events indefinitely, while plain responses pass through any proxy.
async function ask(show) {
  if (state.heard > 0 && Date.now() - state.heard > QUIET_MS) state.isLive = false;
  if (state.isLive || document.hidden) return;
  try {
    const [queue, runs, status] = await Promise.all(["/api/queue?limit=100", "/api/runs?state=open&limit=50", "/api/status"].map(get));
    if (state.isLive) return; // events received since then are newer
    Object.assign(state, {queue, runs, status, isLost: false});
  } catch {
    state.isLost = true;
  }
  show();
}

// `show()` is called whenever the model has changed.
export function keepUpToDate(show) {
  setInterval(() => ask(show), ASK_MS);
  follow(show);
  ask(show);
}
