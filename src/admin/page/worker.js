// The event stream of all tabs of a browser: a shared worker, because a browser opens six connections to a host at most, and
// the stream of a tab would occupy one. It is open while at least one tab wants events.
//
// From a tab: {wants: true}, again before SILENT_MS have passed, or {wants: false}. To it: {kind: "queue", "runs", "status", data}, each
// with the text of an event; {kind: "quiet"}; {kind: "lost"} when the stream broke off.
const CHECK_MS = 15000;
const QUIET_MS = 45000;  // an event arrives every 15 s; a stream without is opened again
const SILENT_MS = 30000; // a tab that ended without a word is forgotten
const AGAIN_MS = 3000;
const LINGER_MS = 2000;  // the stream stays open as long after the last tab was hidden: another may be shown at once

const tabs = new Map(); // those that want events: port → when it last said so
let stream = null, heard = 0, latest = new Map(), timer = 0, lingering = 0;

function send(message) {
  for (const port of tabs.keys()) port.postMessage(message);
}

function close() {
  clearTimeout(timer);
  if (stream) stream.close();
  stream = null;
  latest = new Map(); // out of date from now on
}

function open() {
  close();
  // The worker's own address is …/v/HASH/worker.js.
  stream = new EventSource(new URL("../../api/live", location.href));
  heard = Date.now();
  for (const kind of ["queue", "runs", "status"]) stream.addEventListener(kind, ({data}) => {
    heard = Date.now();
    latest.set(kind, {kind, data});
    send({kind, data});
  });
  stream.addEventListener("quiet", () => {
    heard = Date.now();
    send({kind: "quiet"});
  });
  stream.onerror = () => {
    latest = new Map();
    send({kind: "lost"});
    // A browser does not reconnect by itself after a response that is not a stream.
    if (stream.readyState === EventSource.CLOSED) timer = setTimeout(open, AGAIN_MS);
  };
}

function closeIfUnused() {
  if (tabs.size === 0) close();
}

function hear(port, {wants}) {
  const isNew = wants && !tabs.has(port);
  clearTimeout(lingering);
  if (wants) tabs.set(port, Date.now());
  else tabs.delete(port);
  if (tabs.size === 0) lingering = setTimeout(closeIfUnused, LINGER_MS);
  else if (!stream) open();
  else if (isNew) for (const message of latest.values()) port.postMessage(message);
}

onconnect = ({ports: [port]}) => {
  port.onmessage = ({data}) => hear(port, data);
};

setInterval(() => {
  const now = Date.now();
  for (const [port, said] of tabs) if (now - said > SILENT_MS) tabs.delete(port);
  closeIfUnused();
  if (stream && now - heard > QUIET_MS) open();
}, CHECK_MS);
