// What is shown for an address that no view has.
import {el} from "./dom.js";

export function makeUnknown(address) {
  const links = [...document.querySelectorAll("header nav a")].map((link) => el("li", null, el("a", {href: link.getAttribute("href")}, link.textContent)));
  return {name: "unknown", title: "no such page", isFinished: () => undefined, root: el("div", null, el("h1", null, "There is no such page"),
    el("p", null, "There is no page at ", el("code", null, el("bdi", null, address)), "."), el("ul", null, ...links))};
}
