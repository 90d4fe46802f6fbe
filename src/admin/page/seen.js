// Parts of a view that are drawn when they come near the screen.

// `draw(element)` is called when an element that is watched comes near; `seen` has those that are.
export function whenSeen(draw) {
  const seen = new Set();
  const observer = new IntersectionObserver((entries) => {
    for (const {target, isIntersecting} of entries) {
      if (!isIntersecting) seen.delete(target); // an element that was removed, too
      else if (!seen.has(target)) {
        seen.add(target);
        draw(target);
      }
    }
  }, {rootMargin: "600px"});
  return {seen, watch: (element) => observer.observe(element)};
}
