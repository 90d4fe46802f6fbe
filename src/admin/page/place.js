// Where the user is in a view: the focus and the scroll position. Views are filled when responses arrive, so both are set as soon
// as there is something to set them to.

const WAIT_MS = 10000; // for content that is long enough
const KEY = "ghatrace-places"; // positions by entry of the history, which a page that is loaded again finds there
const MOST = 100;
let entry = null, wanted = null, wantsHeading = false;
const positions = readPositions();

function readPositions() {
  try {
    return new Map(JSON.parse(sessionStorage.getItem(KEY)) || []);
  } catch {
    return new Map();
  }
}

function keep() {
  if (entry === null) return;
  positions.delete(entry);
  positions.set(entry, wanted && scrollY < wanted.top ? wanted.top : scrollY);
  while (positions.size > MOST) positions.delete(positions.keys().next().value);
}

function keepForReload() {
  keep();
  try {
    sessionStorage.setItem(KEY, JSON.stringify([...positions]));
  } catch { /* a browser may deny storage */ }
}

function scrollWhenPossible() {
  if (!wanted) return;
  const isLongEnough = document.documentElement.scrollHeight - innerHeight >= wanted.top;
  if (isLongEnough) scrollTo({top: wanted.top, behavior: "instant"});
  if (isLongEnough || Date.now() > wanted.until) wanted = null;
}

function focusHeading(main) {
  const heading = main.querySelector("h1"), active = document.activeElement;
  if (!wantsHeading || !heading || active === heading || active && active !== document.body && active !== main && active.isConnected) return;
  heading.tabIndex = -1;
  heading.focus({preventScroll: true});
}

// Call it before the content of a view is replaced by another's.
export function leave() {
  keep();
}

// And this when the new content is there. `isFirst`: the page was just loaded, and the browser sets the focus.
export function arrive(main, isFirst) {
  const known = history.state && history.state.entry;
  entry = known || `${Date.now()}-${Math.random()}`;
  if (!known) history.replaceState({...history.state, entry}, "");
  const top = positions.get(entry) || 0;
  wanted = top > 0 ? {top, until: Date.now() + WAIT_MS} : null;
  scrollTo({top: 0, behavior: "instant"});
  scrollWhenPossible();
  wantsHeading = !isFirst;
  if (!isFirst && document.activeElement && document.activeElement !== document.body) document.activeElement.blur();
  focusHeading(main);
}

export function watchPlace(main) {
  history.scrollRestoration = "manual";
  addEventListener("pagehide", keepForReload);
  // A user who scrolls or moves the focus knows better.
  for (const kind of ["wheel", "touchmove", "keydown", "pointerdown"])
    addEventListener(kind, () => { wanted = null; }, {passive: true, capture: true});
  addEventListener("pointerdown", () => { wantsHeading = false; }, {capture: true});
  addEventListener("focusin", ({target}) => { if (target.tagName !== "H1") wantsHeading = false; });
  new ResizeObserver(scrollWhenPossible).observe(main);
  new MutationObserver(() => focusHeading(main)).observe(main, {childList: true, subtree: true});
}
