// Incidents of pools that are over: the last ones on Now, those of one pool on its page.
import {clock, counted, duration, el, keyed, name, replaceIfChanged, seconds, serverNow, setText} from "./dom.js";
import {poolPage} from "./address.js";

const SHOWN = 3;           // at once
const RECENT = 86_400_000; // ms: if none ended within, nothing is shown on Now
const WORDS = {waiting: "waiting long", ceiling: "held back by a ceiling", busy: "busy", dead: "dead"};

const keyOf = (incident) => `${incident.pool} ${incident.from}`;

function pastWords(incident, hasName) {
  const {pool, from, until, times, state} = incident;
  const who = hasName ? [el("a", {href: poolPage(pool)}, name(pool)), " was in trouble, at worst "] : ["at worst "];
  return ["Ended: ", ...who, `${WORDS[state] || state}, from `, clock(from), " to ", clock(until),
    ` (${duration(seconds(from, until))}${times > 1 ? `, in ${times.toLocaleString()} parts` : ""}): up to ${counted(incident.queued_max, "job")} waited, the longest ${duration(incident.wait_seconds_max)}.`];
}

// `ofPool`: on the pool's own page, where all that ended in 35 days count.
export function makePast(ofPool = false) {
  const list = el("ul", {class: "past-list"}), rest = el("ul", {class: "past-list"});
  const more = el("details", {class: "past-rest", hidden: true}, el("summary"), rest);
  const root = el("section", {"aria-label": "Past incidents", class: "past", hidden: true}, list, more);

  function fillPart(parent, incidents) {
    keyed(parent, incidents, keyOf, () => el("li", {class: "small"}), (row, incident) => replaceIfChanged(row, pastWords(incident, !ofPool)));
  }

  return {
    root,
    // `past`: as the API has it; older daemons do not send it.
    fill(past = []) {
      const now = serverNow(), isShown = (incident) => ofPool || now - Date.parse(incident.until) <= RECENT;
      const count = Math.min(SHOWN, past.filter(isShown).length);
      fillPart(list, past.slice(0, count));
      fillPart(rest, past.slice(count));
      setText(more.firstElementChild, `${(past.length - count).toLocaleString()} more of the last 35 days are kept`);
      more.hidden = past.length === count;
      root.hidden = count === 0;
    },
  };
}
