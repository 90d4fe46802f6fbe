// What is shown for an address that no view has.
import {el} from "./dom.js";

export function makeUnknown(address) {
  const links = [["#/", "Now"], ["#/runs", "Runs"], ["#/latency", "Runner latency"]];
  return {name: "unknown", title: "no such page", isFinished: () => undefined, root: el("div", null, el("h1", null, "There is no such page"),
    el("p", null, "There is no page at ", el("code", null, el("bdi", null, address)), "."),
    el("ul", null, ...links.map(([href, text]) => el("li", null, el("a", {href}, text)))))};
}
