// What is wrong with a pool and what to do, in words: the same on the first screen, on the page of a pool and in
// `ghatrace pools`.
import {clock, el, name} from "./dom.js";

const LONG_WAIT = 600; // seconds; a pool whose jobs wait, but start, is in trouble from then on

export const MEANING = {
  dead: "Jobs wait, none runs, and none has started for long: see whether its runners are online.",
  busy: "As many jobs run as ever did in a week: it needs more runners.",
  ceiling: "A limit that several pools share is reached: more runners would not help.",
  waiting: "Jobs wait though fewer run than once did in the week: see whether runners are offline, or paused.",
};

export function isInTrouble(pool) {
  return pool.state === "dead" || pool.state === "busy" || pool.state === "ceiling" ||
    pool.state === "waiting" && pool.oldest_wait_seconds >= LONG_WAIT;
}

export const counted = (count, noun) => `${count.toLocaleString()} ${noun}${count === 1 ? "" : "s"}`;
export const isReached = (ceiling) => ceiling.since !== null;

// "dead since 14:02", as nodes.
export function stateWords(pool) {
  const what = pool.state === "ceiling" ? ["at the ceiling ", name(pool.ceiling)] : [pool.state];
  return pool.since ? [...what, " since ", clock(pool.since)] : what;
}

// "40 / 48": running now, and the most that ran at once in 7 days.
export const busyWords = (pool) => `${pool.running.toLocaleString()} / ${pool.busy_max_week === null ? "?" : pool.busy_max_week.toLocaleString()}`;
export const startWords = (pool) => pool.last_start_at ? [clock(pool.last_start_at)] : ["none in 7d"];

// "hosted is at the ceiling since 14:02, 60 of 60; 31 by acme/shop"
export function ceilingWords(ceiling) {
  const shares = ceiling.by_repository.slice(0, 3).flatMap((share, i) => [i === 0 ? "; " : ", ", `${share.running.toLocaleString()} by `, name(share.repository, "?")]);
  return [el("strong", null, name(ceiling.ceiling)), " is at the ceiling since ", clock(ceiling.since), `, ${ceiling.running.toLocaleString()} of ${ceiling.limit.toLocaleString()}`, ...shares,
    `. ${counted(ceiling.queued, "job")} ${ceiling.queued === 1 ? "is" : "are"} queued behind it.${ceiling.inferred ? " (The limit is inferred.)" : ""}`];
}
