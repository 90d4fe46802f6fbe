"""What was compared, and what differed."""
import collections


class Differences:
    def __init__(self):
        self.compared = collections.Counter()  # by kind
        self.found = collections.Counter()
        self.examples = collections.defaultdict(list)
        self.widest = collections.defaultdict(float)  # the greatest error of those within tolerance
        self.skipped = {}

    def equal(self, kind, where, shown, true):
        self.compared[kind] += 1
        if shown != true:
            self.note(kind, where, shown, true)

    def equal_one_of(self, kind, where, shown, true):
        self.equal(kind, where, shown, shown if shown in true else true)

    def near(self, kind, where, shown, low, high, slack=0.0):
        """Within [low, high], or so far from it."""
        self.compared[kind] += 1
        if shown is None or low is None:
            if shown is not low:
                self.note(kind, where, shown, low)
            return
        error = max(low - shown, shown - high, 0)
        if error > slack:
            self.note(kind, where, shown, (low, high))
        else:
            self.widest[kind] = max(self.widest[kind], error)

    def note(self, kind, where, shown, true):
        self.found[kind] += 1
        if len(self.examples[kind]) < 6:
            self.examples[kind].append(f"{where}: {shown!r}, in truth {true!r}")

    def skip(self, kind, why):
        self.skipped[kind] = why

    @property
    def count(self):
        return sum(self.found.values())

    def lines(self):
        for kind in sorted(self.compared):
            found = self.found[kind]
            widest = f", at most {self.widest[kind]:.3g} off" if self.widest[kind] else ""
            yield f"  {kind:34} {self.compared[kind]:7} compared, {found:4} differ{widest}"
            for example in self.examples[kind]:
                yield f"      {example}"
        for kind, why in self.skipped.items():
            yield f"  {kind:34} skipped: {why}"
