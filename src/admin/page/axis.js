// The axis of a run's waterfall, and which part of the time it shows.
import {axisTime, clockTime, el, keyed, roundDuration, serverNow, set, setText} from "./dom.js";

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400];
const LEAST = 1; // second that is shown
const DRAG = 5;  // pixels from which on a movement is a choice

const number = (text) => text === null || text === "" || !Number.isFinite(Number(text)) ? null : Number(text);

// Places labels at round times of a part of a waterfall, which begins `from` seconds after its start.
export function fillTicks(ticks, from, length) {
  const most = innerWidth < 640 ? 2 : 7, marks = []; // labels that fit
  const step = STEPS.find((candidate) => length / candidate <= most) || Math.ceil(length / most / 86400) * 86400;
  for (let at = Math.ceil(from / step) * step; at < from + length * (1 - 0.4 / most); at += step) marks.push(at);
  keyed(ticks, marks, (at) => at, (at) => el("span", null, at === 0 ? "0" : roundDuration(at)), (tick, at) => {
    tick.style.left = `${(at - from) * 100 / length}%`;
  });
}

// `changed()` is called when another part is shown. Parts are in seconds since the start of the run.
export function makeAxis(parameters, changed) {
  const ticks = el("div", {class: "ticks"}), chosen = el("div", {class: "chosen-part", hidden: true});
  const track = el("div", {class: "track", title: "Drag to zoom"}, ticks, chosen), start = el("span", {class: "small"});
  const root = el("div", {class: "row axis", "aria-hidden": "true"}, start, track, el("span", {class: "head queue-time"}, "queue"), el("span", {class: "head"}, "total"));
  const button = (text, title, act) => el("button", {class: "plain", type: "button", "aria-label": title, title, onclick: act}, text);
  const buttons = el("span", {class: "zoom", role: "group", "aria-label": "Zoom"}, button("−", "Zoom out", () => zoom(2)), button("+", "Zoom in", () => zoom(0.5)),
    button("fit", "fit: show all of the time", () => show(null, null)));
  let full = {from: serverNow(), length: 1000}, from = number(parameters.get("from")), to = number(parameters.get("to")), drag = null;

  const part = () => ({from: from === null ? 0 : from, to: to === null ? full.length / 1000 : to});

  function show(first, last) {
    const all = full.length / 1000, isAll = first === null || first <= 0 && last >= all;
    [from, to] = isAll ? [null, null] : [Math.max(0, first), Math.min(all, last)].map((at) => Math.round(at * 10) / 10);
    changed();
  }

  // `factor`: of the time that is shown.
  function zoom(factor) {
    const now = part(), length = Math.max(LEAST, (now.to - now.from) * factor), middle = (now.from + now.to) / 2;
    show(middle - length / 2, middle + length / 2);
  }

  function pan(share) {
    const now = part(), length = now.to - now.from, all = full.length / 1000;
    const first = Math.min(Math.max(0, now.from + share * length), Math.max(0, all - length));
    if (from !== null || to !== null) show(first, first + length);
  }

  const shareOf = (event) => {
    const box = track.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / Math.max(1, box.width)));
  };
  track.addEventListener("pointerdown", (event) => {
    drag = {x: event.clientX, share: shareOf(event)};
    track.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  track.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const now = shareOf(event);
    chosen.hidden = false;
    chosen.style.left = `${Math.min(now, drag.share) * 100}%`;
    chosen.style.width = `${Math.abs(now - drag.share) * 100}%`;
  });
  track.addEventListener("pointerup", (event) => {
    const began = drag, now = part(), length = now.to - now.from, end = shareOf(event);
    drag = null;
    chosen.hidden = true;
    if (!began || Math.abs(event.clientX - began.x) < DRAG) return;
    const [first, last] = [began.share, end].sort((a, b) => a - b).map((share) => now.from + share * length);
    const middle = (first + last) / 2, half = Math.max(LEAST, last - first) / 2;
    show(middle - half, middle + half);
  });
  track.addEventListener("pointercancel", () => {
    drag = null;
    chosen.hidden = true;
  });

  // Shows the part that is chosen of `whole`; returns its scale.
  function fill(whole) {
    full = whole;
    const now = part(), length = Math.max(LEAST, now.to - now.from);
    fillTicks(ticks, now.from, length);
    const begin = full.from + now.from * 1000;
    setText(start, `${from === null ? "from" : "zoom from"} ${axisTime(begin, "seconds")}`);
    set(start, {title: clockTime(begin)});
    return {from: begin, length: length * 1000};
  }

  return {root, buttons, fill, zoom, pan, fit: () => show(null, null), part: () => from === null ? {} : {from, to}};
}
