"""Plays a scene to a daemon by the clock, and compares at each minute what it says with the truth."""
import collections
import json
import pathlib
import re
import shutil
import tempfile
import time
import urllib.parse

import alerts
import deliveries
import harness
import notices
from clock import Clock, daemon_time, parse
from differences import Differences
from test_admin import read_metrics
from states import Assessment, stretches, waited
from truth import BOUNDS, DAY, JOB_GRACE, MINUTE, PoolTruth, bucket_width, rank

# Tuesday noon. Deliveries older than so much are delivered at once, to a daemon whose clock begins then.
START = 1_795_521_600
BACKLOG_AGE, LEAD = 900, 600
QUANTILES = {50: "0.5", 90: "0.9", 99: "0.99"}
LATER = (1, 22, 24, 25, 26, 27, 48, 5 * 24)  # hours
# What is read of /metrics: what is compared, and what the alert rules use.
RECORDED = re.compile(r"ghatrace_(pool_|ceiling_)")
STARTUP_MOST = 3
INFERRED_AFTER = 15 * MINUTE
ROUNDING = 0.002  # the API has milliseconds


def metrics_of(name, truth, now):
    """The gauges and the histogram of a pool, as /metrics ought to have them."""
    found = {}

    def put(metric, number, **labels):
        found["ghatrace_pool_" + metric, frozenset({"pool": name, **labels}.items())] = number
    for kind, number in zip(("waiting", "queued", "running"), truth.counts(now)):
        put(kind, number)
    waits = truth.open_waits(now) or (0,) * 4
    for quantile, number in zip(QUANTILES.values(), waits):
        put("open_wait_seconds", number, quantile=quantile)
    put("oldest_wait_seconds", waits[3])
    put("busy_max", truth.busy_max(now - 7 * DAY, now))
    count, total, buckets = truth.histogram()
    if count:
        put("queue_wait_seconds_count", count)
        put("queue_wait_seconds_sum", total)
        put("queue_wait_seconds_bucket", count, le="+Inf")
        for bound, number in zip(BOUNDS, buckets):
            put("queue_wait_seconds_bucket", number, le=f"{bound}.0")
    return found


class Look:
    """What the daemon said at a minute, and when it was asked: `times` has the times before, between and after."""

    def __init__(self, player, minute, pool):
        clock = player.clock
        self.minute, self.times, self.pool = minute, [clock.now()], pool
        self.pools = player.get("/api/pools").body
        self.times.append(clock.now())
        self.metrics = player.get("/metrics").text
        self.times.append(clock.now())
        try:
            self.whatif = player.of_pool(pool, f"whatif?runners={player.scene.capacity(pool)}")
        except AssertionError as error:  # no job yet
            self.whatif = {"error": str(error)}
        self.times.append(clock.now())


class Player:
    def __init__(self, scene, speed, folder, later):
        self.scene, self.speed, self.folder, self.later = scene, speed, folder, later
        self.differences = Differences()
        self.truths = {name: PoolTruth() for name in scene.names}
        self.minutes = 0
        self.behind = []                      # how late each minute was looked at
        self.answers = collections.Counter()  # of deliveries
        self.log = []                         # deliveries and looks, as they happened
        self.true_metrics = []
        self.recorded = []                    # (time, metrics) of each minute
        self.states = collections.defaultdict(dict)  # of each pool and minute, since when
        self.given_up = []                    # what has yet to be given up
        self.made = deliveries.Sent()
        self.client, self.used = None, 0.0
        self.inferred = 0                     # how often a pool is at a ceiling that no rule names
        self.presences = []                   # (time, which troubles there are) of each minute
        self.receiver = notices.Receiver(folder, lambda: self.clock.now())
        self.settings = {**scene.settings(), "notify_url_file": str(self.receiver.file)}
        self.daemon = None

    # --- the daemon ---------------------------------------------------------------------------------

    def start_daemon(self, at, speed):
        self.clock = Clock(at, speed)
        self.forget_client()
        self.daemon = harness.Daemon(self.folder, env=self.clock.environment(at), **self.settings)
        self.daemon.start()
        with harness.Client(self.daemon.admin_address) as client:
            self.clock.follow(daemon_time(client))

    def get(self, path):
        for last in (False, False, True):
            try:
                with harness.Client(self.daemon.admin_address) as client:
                    answer = client.request("GET", path, headers={"Host": "localhost"})
                break
            except OSError:  # it took too long, by the faster clock
                if last:
                    raise
        if answer.status != 200:
            raise AssertionError(f"GET {path}: {answer}")
        return answer

    def get_json(self, path):
        return json.loads(self.get(path).body)

    def of_pool(self, name, rest):
        return self.get_json(f"/api/pools/{urllib.parse.quote(name, safe='')}/{rest}")

    def forget_client(self):
        if self.client:
            self.client.close()
        self.client = None

    def deliver(self, delivery):
        event = self.made.event_of(delivery)
        for _ in range(100):
            if self.client is None or time.monotonic() - self.used > 0.1:
                self.forget_client()  # its time may be over, by the faster clock
                self.client = self.daemon.client()
            try:
                answer = self.client.deliver(event)
            except OSError:
                self.forget_client()
                continue
            self.used = time.monotonic()
            self.answers[answer.outcome] += 1
            if 200 <= answer.status < 300:
                break
            time.sleep(0.05)
        else:
            raise AssertionError(f"{delivery} was answered {answer}")
        if delivery.kind == "run over":
            at = self.clock.now() + JOB_GRACE
            self.given_up += [deliveries.Delivery(at, at, "given up", job, None) for job in delivery.subject.jobs if job.is_unreported]
        elif delivery.kind not in ("run", "repeated") and delivery.subject.is_counted:
            self.log.append(delivery)

    def give_up(self, now):
        """The daemon gives up jobs whose run is over, and which did not end."""
        self.log += [delivery for delivery in self.given_up if delivery.at <= now]
        self.given_up = [delivery for delivery in self.given_up if delivery.at > now]

    # --- time passes --------------------------------------------------------------------------------

    def play(self):
        self.play_day()
        self.ask_for_more()
        self.slots_at = self.clock.now()
        self.slots = {pool: self.of_pool(pool, "history?window=24h")["slots"] for pool in self.scene.names}
        self.compare()
        self.check_history()
        self.check_more()
        self.check_notices()
        self.check_alerts()
        self.check_later()

    def play_day(self):
        waiting = collections.deque(deliveries.of_world(self.scene.world, self.scene.end + 1, seed=1))
        self.start_daemon(self.scene.start - BACKLOG_AGE, 1)
        while waiting and waiting[0].due < self.scene.start - BACKLOG_AGE:
            self.deliver(waiting.popleft())
        begun = self.clock.now()
        self.daemon.stop()
        assert begun < self.scene.start - LEAD, "the old deliveries took too long"
        for delivery in waiting:
            self.made.event_of(delivery)
        self.start_daemon(self.scene.start - LEAD, self.speed)
        self.uncertainty = self.clock.uncertainty
        for minute in range(self.scene.start, self.scene.end + 1, MINUTE):
            waiting = self.play_until(minute, waiting)
            self.minutes += 1
            self.give_up(minute)
            self.log.append(Look(self, minute, self.scene.names[self.minutes % len(self.scene.names)]))

    def play_until(self, minute, waiting):
        """Delivers what is due; and what happened by then, unless it is late by minutes."""
        rest = collections.deque()
        while waiting and waiting[0].due <= minute + deliveries.MOST + 1:
            delivery = waiting.popleft()
            if delivery.due <= minute:
                self.clock.sleep_until(delivery.due)
            elif delivery.at > minute or delivery.is_late or delivery.kind == "repeated":
                rest.append(delivery)
                continue
            else:
                self.clock.sleep_until(min(delivery.due, minute))
            self.deliver(delivery)
        rest.extend(waiting)
        self.clock.sleep_until(minute)
        return rest

    # --- comparing ----------------------------------------------------------------------------------

    def compare(self):
        """Goes through what happened again. It takes longer than the clock allows while it goes on."""
        for entry in self.log:
            if isinstance(entry, Look):
                self.check(entry)
            else:
                self.truths[entry.subject.pool].add(entry.subject, entry.kind)

    def check(self, look):
        minute, (before, between, after, end) = look.minute, look.times
        answer = json.loads(look.pools)
        pools = {pool["pool"]: pool for pool in answer["pools"]}
        found = read_metrics("\n".join(line for line in look.metrics.splitlines() if RECORDED.match(line)))
        self.behind.append(before - minute)
        true_metrics = {}
        self.recorded.append((minute, found))
        self.true_metrics.append((minute, true_metrics))
        for name, truth in self.truths.items():
            if not truth.jobs:
                continue
            where = f"{self.place(minute)} {name}"
            self.check_api(where, pools.get(name), truth, before, between)
            self.check_metrics(where, name, found, truth, between, after)
            true_metrics.update(metrics_of(name, truth, (between + after) / 2))
        if self.scene.has_rule or answer["ceilings"]:
            counts = [self.truths[pool.name].counts(before) for pool in self.scene.pools if pool.ceiling]
            for kind, number in (("running", sum(count[2] for count in counts)), ("queued", sum(count[1] for count in counts)),
                                 ("limit", self.scene.limit)):
                true_metrics[f"ghatrace_ceiling_{kind}", frozenset({("ceiling", self.scene.ceiling_name)})] = number
        self.check_states(minute, pools, before, between)
        self.check_ceilings(minute, answer["ceilings"], found)
        if self.truths[look.pool].jobs:
            self.check_whatif(f"{self.place(minute)} {look.pool}", self.truths[look.pool], look.whatif, (after, end))

    def place(self, minute):
        return f"minute {int(minute - self.scene.incident) // MINUTE:+d}"

    def slack(self):
        return self.clock.uncertainty + ROUNDING

    def check_api(self, where, shown, truth, before, after):
        note, counts = self.differences, truth.counts(before)
        if shown is None:
            note.note("api pool", where, None, counts)
            return
        for kind, true in zip(("waiting", "queued", "running"), counts):
            note.equal(f"api {kind}", where, shown[kind], true)
        note.equal("api ended_unknown", where, shown["ended_unknown"], truth.ended_unknown(before))
        low, high = truth.open_waits(before) or (None,) * 4, truth.open_waits(after) or (None,) * 4
        for place, kind in enumerate(("p50", "p90", "p99", "oldest")):
            value = shown["oldest_wait_seconds"] if kind == "oldest" else shown["open_wait_seconds"][kind]
            note.near(f"api open wait {kind}", where, value, low[place], high[place], self.slack())
        for kind, length in (("day", DAY), ("week", 7 * DAY)):
            true = {truth.busy_max(at - length, at) for at in (before, after)}
            note.near(f"api busy_max_{kind}", where, shown[f"busy_max_{kind}"], min(true), max(true))
        note.equal("api last_start_at", where, parse(shown["last_start_at"]), truth.last_start(before - DAY, after))

    def check_metrics(self, where, name, found, truth, before, after):
        note = self.differences

        def value(metric, **labels):
            return found.get((metric, frozenset({"pool": name, **labels}.items())))
        for kind, true in zip(("waiting", "queued", "running"), truth.counts(before)):
            note.equal(f"metrics {kind}", where, value(f"ghatrace_pool_{kind}"), true)
        low, high = truth.open_waits(before) or (0,) * 4, truth.open_waits(after) or (0,) * 4
        for place, (percent, quantile) in enumerate(QUANTILES.items()):
            note.near(f"metrics open wait p{percent}", where, value("ghatrace_pool_open_wait_seconds", quantile=quantile),
                      low[place], high[place], self.slack())
        note.near("metrics oldest wait", where, value("ghatrace_pool_oldest_wait_seconds"), low[3], high[3], self.slack())
        true = {truth.busy_max(at - 7 * DAY, at) for at in (before, after)}
        note.near("metrics busy_max", where, value("ghatrace_pool_busy_max"), min(true), max(true))
        count, total, buckets = truth.histogram()
        waits = "ghatrace_pool_queue_wait_seconds"
        note.equal("metrics ended waits", where, value(waits + "_count") or 0, count)
        note.near("metrics sum of waits", where, value(waits + "_sum") or 0, total, total, 1e-6 * total)
        for bound, true in zip(BOUNDS, buckets):
            note.equal("metrics ended waits le", f"{where} {bound}", value(waits + "_bucket", le=f"{bound}.0") or 0, true)

    def check_states(self, minute, pools, before, after):
        """What is asked for at a border of two states may be either."""
        note = self.differences
        hosted = [self.truths[pool.name] for pool in self.scene.pools if pool.ceiling]
        assessed = {}
        for name, truth in self.truths.items():
            if not truth.jobs:
                continue
            where, shown = f"{self.place(minute)} {name}", pools[name]
            has_hosted = bool(self.scene.world.pools[name].ceiling)
            has_ceiling = has_hosted and self.scene.has_rule
            true = [Assessment(truth, at, hosted, self.scene.limit if has_ceiling else None) for at in (before, after)]
            if has_hosted and not self.scene.has_rule:
                true = self.or_inferred(true, [Assessment(truth, at, hosted, self.scene.limit) for at in (before, after)], hosted)
            assessed[name] = true[0]
            note.equal_one_of("state", where, shown["state"], [t.state for t in true])
            chosen = next((t for t in true if t.state == shown["state"]), true[0])
            if chosen.state == shown["state"]:
                since = parse(shown["since"])
                note.near("since", where, since, chosen.since, chosen.since, MINUTE)
            note.equal("ceiling of a pool", where, shown["ceiling"], self.scene.ceiling_name if shown["state"] == "ceiling" else None)
            self.states[name][minute] = shown["state"], parse(shown["since"])
        ceiling = next((of.ceiling_since for of in assessed.values() if of.ceiling_since is not None), None)
        self.presences.append((minute, notices.presences(assessed, self.scene.ceiling_name, ceiling, before)))

    def or_inferred(self, without, with_ceiling, hosted):
        """A ceiling that no rule names is inferred when it has been reached for a quarter of an hour, while two pools waited."""
        reached = [t for t in with_ceiling if t.state == "ceiling" and t.now - t.ceiling_since >= INFERRED_AFTER
                   and sum(waited(stretches([member], t.now), t.ceiling_since) for member in hosted) >= 2]
        self.inferred += bool(reached)
        return reached or without

    def check_ceilings(self, minute, ceilings, found):
        note, where = self.differences, self.place(minute)
        if not self.scene.has_rule:
            note.skip("ceilings", "no rule names one")
            return
        names = [pool.name for pool in self.scene.pools if pool.ceiling and self.truths[pool.name].jobs]
        counts = [self.truths[name].counts(minute) for name in names]
        queued, running = (sum(count[place] for count in counts) for place in (1, 2))
        true = {"ceiling": "hosted", "limit": self.scene.limit, "running": running, "queued": queued, "inferred": False}
        note.equal("number of ceilings", where, len(ceilings), 1)
        for key, value in true.items():
            note.equal(f"ceiling {key}", where, ceilings[0][key], value)
        note.equal("ceiling pools", where, sorted(ceilings[0]["pools"]), sorted(names))
        for kind, value in (("running", running), ("queued", queued), ("limit", self.scene.limit)):
            note.equal(f"metrics ceiling {kind}", where, found.get((f"ghatrace_ceiling_{kind}", frozenset({("ceiling", "hosted")}))), value)
        if ceilings[0]["since"] is not None:
            by = collections.Counter(known.job.run.repository for name in names for known in self.truths[name].all() if known.is_running)
            shown = {entry["repository"]: entry["running"] for entry in ceilings[0]["by_repository"]}
            note.equal("ceiling by repository", where, list(shown.values()), [count for _, count in by.most_common(len(shown))])
            note.equal("ceiling by repository names", where, {name: by[name] for name in shown}, shown)

    def check_whatif(self, where, truth, answer, times):
        """As it was: of the jobs of the last week, the waits of the open ones up to now."""
        note = self.differences
        low, high = (sum(truth.waits_of(0, at), []) for at in times)
        note.equal("whatif jobs", where, answer["jobs"], len(high))
        for percent in (50, 90, 99) if low else ():
            note.near(f"whatif was p{percent}", where, answer["was"][f"p{percent}_seconds"], rank(low, percent),
                      rank(high, percent), self.slack())
        note.equal("whatif was waiting", where, answer["was"]["waiting"] if low else 0, len(truth.waits_of(0, times[1])[1]))

    def ask_for_more(self):
        """`ghatrace whatif` with the number of runners that there are, and with more, of the last hours."""
        self.more = []
        window = f"{(self.scene.end - self.scene.incident) // MINUTE + 30}m"
        for name, more in self.scene.more.items():
            count = self.scene.capacity(name) + more
            arguments = ("whatif", "--json", "--pool", name, "--runners", count, "--since", window, "--target", "2m")
            done = self.daemon.command(*arguments, env=self.clock.environment())
            if done.returncode != 0:
                raise AssertionError(done.stderr)
            self.more.append((name, more, json.loads(done.stdout), self.of_pool(name, f"whatif?runners={count}&since={window}&target=2m")))

    def check_more(self):
        """Against the same jobs, served by more runners. The model's own error is what it says of itself: by so much it may
        differ from what it was made for; what a runner needs until GitHub says that the job has started is not in it."""
        note = self.differences
        for name, more, printed, answer in self.more:
            since, until = parse(answer["from"]), parse(answer["until"])
            # The command's clock begins with a whole second, and so its window with another job.
            for key, slack in (("jobs", 2), ("fewest_runners", 1)):
                note.near(f"whatif printed {key}", name, printed[key], answer[key], answer[key], slack)
            truth, model = self.truths[name], answer["model"]
            note.equal("whatif explains", name, model["explains"], self.scene.explains(name))
            ended, so_far = truth.waits_of(since, until)
            for percent in (50, 90, 99):
                true = rank(ended + so_far, percent)
                note.near(f"whatif window p{percent}", name, answer["was"][f"p{percent}_seconds"], true, true, 1)
            note.equal("whatif busy", name, answer["was"]["runners"], truth.busy_max(since, until))
            if not model["explains"]:
                continue
            for percent in (50, 90, 99):
                true = rank(self.waits_with(name, more, since, until), percent)
                slack = max(bucket_width(true) if true else 1, true * model["error_percent"] / 100) + STARTUP_MOST
                note.near(f"whatif with more p{percent}", f"{name} +{more}", answer["would_be"][f"p{percent}_seconds"], true, true, slack)
            fewest = next(count for count in range(1, 1000) if rank(self.waits_with(
                name, count - self.scene.capacity(name), since, until), 90) <= 120)
            note.near("whatif fewest", name, answer["fewest_runners"], fewest, fewest, 1)

    def waits_with(self, name, more, since, until):
        """If there were more runners; of the jobs that had one, or still wait."""
        done = self.scene.world.serve(more={name: more})
        return [min(done.started.get(known.job, until), until) - known.ready for known in self.truths[name].all()
                if known.ready is not None and since <= known.ready < until and not known.job.was_cancelled_in_queue]

    def check_notices(self):
        # While old deliveries come all at once, jobs look as if they waited.
        until = self.presences[-1][0] + notices.INTERVAL
        found = [entry for entry in self.receiver.found if self.scene.start <= entry[0] <= until]
        notices.compare(self.differences, found, notices.expected(self.presences), self.place)

    def check_alerts(self):
        """On what the daemon said, and on what is true."""
        if not alerts.is_available():
            self.differences.skip("alerts", "promtool is not here")
            return
        self.fired, true = alerts.firing(self.recorded), alerts.firing(self.true_metrics)
        for key in sorted(set(self.fired) | set(true)):
            name, labels = key
            self.differences.equal(f"alert {name}", " ".join(labels), alerts.spans(self.fired.get(key, [])),
                                   alerts.spans(true.get(key, [])))

    def check_later(self):
        """The days after, without a delivery: what was the most is not forgotten while minutes become hours."""
        for hours in self.later:
            at = self.scene.end + hours * 3600
            self.daemon.stop()
            self.start_daemon(at, 1)
            self.check_api_alone(f"{hours} h later")

    def check_api_alone(self, place):
        before = self.clock.now()
        pools = {pool["pool"]: pool for pool in self.get_json("/api/pools")["pools"]}
        after = self.clock.now()
        for name, truth in self.truths.items():
            if truth.jobs:
                self.check_api(f"{place} {name}", pools.get(name), truth, before, after)

    def check_history(self):
        """The last whole day by minute."""
        for name, truth in self.truths.items():
            if truth.jobs:
                self.check_pool_history(name, truth)

    def check_pool_history(self, name, truth):
        note = self.differences
        slots = self.slots[name][:-1]  # the last one goes on
        begin = int(parse(slots[0]["start"]))
        for number, (slot, true) in enumerate(zip(slots, truth.minutes(begin, len(slots), self.slots_at))):
            where = f"{self.place(begin + number * MINUTE)} {name}"
            note.equal("history start", where, parse(slot["start"]), begin + number * MINUTE)
            if slot["arrivals"] is None:  # the pool was not known yet
                note.equal("history unknown", where, begin + (number + 1) * MINUTE <= truth.first(), True)
                continue
            for kind in ("arrivals", "starts", "queued_max", "running_max"):
                note.equal(f"history {kind}", where, slot[kind], true[kind])
            for kind in ("queued_mean", "running_mean"):
                note.near(f"history {kind}", where, slot[kind], true[kind], true[kind], 0.001)
            note.equal("history waits", where, slot["wait_seconds"]["count"], len(true["waits"]))
            for percent in (50, 90, 99):
                wanted = rank(true["waits"], percent) if true["waits"] else None
                width = bucket_width(wanted) if wanted else 0
                note.near(f"history wait p{percent}", where, slot["wait_seconds"][f"p{percent}"], wanted, wanted, width)


def new_folder():
    """In memory if possible: by a fast clock each write of a disk takes long."""
    shm = pathlib.Path("/dev/shm")
    return tempfile.mkdtemp(prefix="ghatrace-scene-", dir=shm if shm.is_dir() else None)


def play(scene, speed, later=LATER):
    """Yields the player when all is compared. `later`: after how many hours the pools are looked at again."""
    folder = new_folder()
    player = Player(scene, speed, folder, later)
    try:
        player.play()
        yield player
    finally:
        player.receiver.close()
        if player.daemon:
            player.daemon.stop()
        shutil.rmtree(folder, True)
