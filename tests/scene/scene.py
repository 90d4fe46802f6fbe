#!/usr/bin/env python3
"""Incidents of an organization with known pools, played to a real daemon by a fast clock.

    scene.py [NAME…]     all scenes at once, or these: jam, dead, ceiling, flood, unreported, silent, inferred

SCENE_SPEED (60) is how many times faster the clock runs. Prints what was compared, and fails if
anything differs from what the generator counts itself.
"""
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "blackbox")]
sys.dont_write_bytecode = True
import alerts  # noqa: E402
import clock  # noqa: E402
import play  # noqa: E402
import scenes  # noqa: E402

SPEED = float(os.environ.get("SCENE_SPEED", "60"))


def run_one(name):
    scene = scenes.SCENES[name](play.START, seed=7)
    count = 0
    for player in play.play(scene, SPEED):
        found = player.differences
        count = found.count
        print(f"{name}: {len(scene.world.jobs)} jobs, {player.minutes} minutes, {sum(found.compared.values())} values compared, "
              f"{count} differ; {max(player.behind):.1f} s late at most, {sum(player.behind) / len(player.behind):.1f} s as a rule, clocks within {player.uncertainty * 1000:.0f} ms; "
              f"deliveries {dict(player.answers)}")
        print("\n".join(found.lines()))
        print("\n".join(times(player)), flush=True)
    return 1 if count else 0


def times(player):
    """When what began, in minutes since the incident."""
    if player.inferred:
        yield f"  {player.inferred} times a pool is at the ceiling that no rule names"
    offset = (player.scene.incident - player.scene.start) // 60
    for pool, states in player.states.items():
        last = None
        for minute, (state, since) in states.items():
            if state != last and minute >= player.scene.incident:
                since = f" since {(since - player.scene.incident) / 60:+.1f}" if since else ""
                yield f"  state   {player.place(minute)}: {pool} is {state}{since}"
            last = state
    for (name, labels), minutes in sorted(getattr(player, "fired", {}).items()):
        spans = ", ".join(f"{first - offset:+d} to {last - offset:+d}" for first, last in alerts.spans(minutes))
        yield f"  alert   {name} {' '.join(labels)}: minutes {spans}"
    for at, condition, name, event, _ in player.receiver.found:
        if not player.scene.start <= at <= player.scene.end + 60:
            continue
        yield f"  notice  minute {(at - player.scene.incident) / 60:+.1f}: {condition} {event}: {name}"


def main(names):
    if not clock.is_available():
        print("scene: libfaketime is not here (Debian: faketime)", file=sys.stderr)
        return 2
    if len(names) == 1:
        return run_one(names[0])
    processes = [subprocess.Popen([sys.executable, __file__, name]) for name in names or scenes.SCENES]
    return max(process.wait() for process in processes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
