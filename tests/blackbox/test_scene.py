"""An incident in six pools, by a fast clock: at each minute what the daemon says against the count of the generator.

`make scene` plays longer ones, and others.
"""
import pathlib
import sys
import unittest

import harness

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "scene"))
import clock  # noqa: E402
import play  # noqa: E402
import scenes  # noqa: E402

MINUTE = 60


@unittest.skipUnless(clock.is_available(), "libfaketime is not here")
class Scene(harness.BlackBoxTest):
    def test_during_an_incident_each_minute_is_as_the_generator_counts_it(self):
        scene = scenes.Jam(play.START, seed=3, quiet=4 * MINUTE, live=26 * MINUTE, before=2 * 3600, length=14 * MINUTE)
        for player in play.play(scene, 120, later=(24,)):
            found = player.differences
            self.assertEqual(found.count, 0, "\n".join(found.lines()))
            self.assertGreater(sum(found.compared.values()), 5000)
            self.assertEqual(player.minutes, 27)
            # Six pools, in which 40 jobs wait and 25 run.
            seen = dict(player.recorded)[scene.incident + 10 * MINUTE]
            self.assertEqual([sum(number for (name, _), number in seen.items() if name == f"ghatrace_pool_{state}")
                              for state in ("queued", "running")], [40, 25])
