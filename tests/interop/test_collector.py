"""The OpenTelemetry Collector takes what was meant, over each encoding and kind of TLS, through its limits and outages."""
import os
import pathlib
import re
import shutil
import signal
import time
import unittest

import company
from company import CompanyTest, expected_ids, has_curl, has_grpc, large_run
from expect import run_spans
from harness import wait_until

needs_grpc = unittest.skipUnless(has_grpc(), "this binary has no OTLP/gRPC")


class Encodings(CompanyTest):
    def test_what_the_collector_wrote_is_what_was_meant_in_every_encoding(self):
        events = company.deliveries()
        stand_in = self.new_collector()
        daemons = [self.new_daemon(stand_in, root_grace="1s")]
        kinds = [(protocol, compression) for protocol in ("http/protobuf", "http/json") for compression in ("none", "gzip")]
        collectors = []
        for protocol, compression in kinds:
            collectors.append(self.real_collector())
            daemons.append(self.daemon_for(collectors[-1], otlp_protocol=protocol, otlp_compression=compression))
        for daemon in daemons:
            self.deliver(daemon, events)
        company.settle(daemons)
        wanted = company.meant(stand_in)
        self.assertGreater(len(wanted), 100)
        for kind, collector in zip(kinds, collectors):
            with self.subTest(kind):
                self.check_equal(collector.spans(), wanted)
                self.check_once(collector, wanted)

    def check_equal(self, found, wanted):
        self.assertEqual(sorted(found), sorted(wanted))
        for key, span in wanted.items():
            self.assertEqual(found[key], span, span["name"])

    def test_it_is_what_the_rules_say_too(self):
        collector = self.real_collector()
        daemon = self.daemon_for(collector)
        for run in company.made_runs()[:2]:
            daemon.accept(*run.timeline())
            self.check_trace(collector, run_spans(run))

    @needs_grpc
    def test_over_grpc_it_is_the_same(self):
        events = company.deliveries()
        stand_in = self.new_collector()
        daemons, collectors = [self.new_daemon(stand_in, root_grace="1s")], []
        tls = {"tls": server_files(self.certificates())}
        kinds = [({}, "none"), ({}, "gzip"), (tls, "none"), (tls, "gzip")]
        for grpc, compression in kinds:
            collectors.append(self.real_collector(grpc=grpc))
            settings = {"otlp_certificate": str(self.certificates() / "ca.pem")} if grpc else {}
            daemons.append(self.daemon_for(collectors[-1], otlp_protocol="grpc", otlp_compression=compression, **settings))
        for daemon in daemons:
            self.deliver(daemon, events)
        company.settle(daemons)
        wanted = company.meant(stand_in)
        for (grpc, compression), collector in zip(kinds, collectors):
            with self.subTest(tls=bool(grpc), compression=compression):
                self.check_equal(collector.spans(), wanted)
                self.check_once(collector, wanted)

    def test_hundreds_of_runs_arrive_once(self):
        collector = self.real_collector()
        daemon = self.daemon_for(collector, otlp_compression="gzip")
        runs = self.deliver_runs(daemon, 300)
        collector.wait_for_ids(expected_ids(runs))
        self.check_once(collector, expected_ids(runs))


def server_files(folder, name="server", client_ca=None, **more):
    files = {"cert_file": str(folder / f"{name}.pem"), "key_file": str(folder / f"{name}.key"), **more}
    return {**files, "client_ca_file": str(folder / client_ca)} if client_ca else files


class Tls(CompanyTest):
    def folder(self):
        """Certificates of this test, which may be replaced."""
        folder = pathlib.Path(self.new_folder()) / "certificates"
        shutil.copytree(self.certificates(), folder)
        return folder

    def tls_collector(self, folder, *arguments, **more):
        return self.real_collector({"tls": server_files(folder, *arguments, **more)})

    def tls_daemon(self, collector, folder, ca="ca.pem", client=None, **settings):
        if client:
            settings.update(otlp_client_certificate=str(folder / f"{client}.pem"),
                            otlp_client_key=str(folder / f"{client}.key"))
        return self.daemon_for(collector, "localhost", otlp_certificate=str(folder / ca), **settings)

    def check_arrives(self, daemon, collector, count=3):
        runs = self.deliver_runs(daemon, count)
        collector.wait_for_ids(expected_ids(runs))
        self.check_once(collector, expected_ids(runs))

    def test_an_authority_of_our_own(self):
        folder = self.folder()
        for name in ("server", "rsa", "chained"):
            with self.subTest(name):
                collector = self.tls_collector(folder, name)
                self.check_arrives(self.tls_daemon(collector, folder), collector)

    def test_a_certificate_for_an_address(self):
        folder = self.folder()
        for host in ("127.0.0.1", "::1"):
            collector = self.real_collector({"tls": server_files(folder)}, host=host)
            with self.subTest(collector.endpoint):
                self.check_arrives(self.daemon_for(collector, otlp_certificate=str(folder / "ca.pem")), collector)

    def test_both_sides_show_certificates(self):
        folder = self.folder()
        collector = self.tls_collector(folder, "server", "ca.pem")
        self.check_arrives(self.tls_daemon(collector, folder, client="client"), collector)

    def test_without_a_client_certificate_all_waits_until_there_is_one(self):
        folder = self.folder()
        collector = self.tls_collector(folder, "server", "ca.pem")
        daemon = self.tls_daemon(collector, folder)
        runs = self.deliver_runs(daemon, 2)
        wait_until(lambda: self.status(daemon)["export"]["state"] == "trouble", what="trouble")
        self.assertEqual(collector.ids(), {})
        daemon.settings.update({"otlp-client-certificate": str(folder / "client.pem"),
                                "otlp-client-key": str(folder / "client.key")})
        daemon.restart()
        collector.wait_for_ids(expected_ids(runs))
        self.check_nothing_dead(daemon)

    def test_an_authority_that_is_replaced_while_both_run(self):
        folder = self.folder()
        collector = self.tls_collector(folder, "server", reload_interval="200ms")
        daemon = self.tls_daemon(collector, folder)
        self.check_arrives(daemon, collector)
        for name in ("pem", "key"):  # signed by the other authority from now on
            shutil.copy(folder / f"foreign.{name}", folder / f"server.{name}")
        time.sleep(1)
        collector.stop()  # the connection that is open would go on
        collector.start()
        runs = self.deliver_runs(daemon, 2)
        wait_until(lambda: self.status(daemon)["export"]["state"] == "trouble", what="trouble")
        shutil.copy(folder / "other-ca.pem", folder / "ca.pem")
        daemon.process.send_signal(signal.SIGHUP)
        collector.wait_for_ids(expected_ids(runs))
        self.check_once(collector, expected_ids(runs))
        self.check_nothing_dead(daemon)

    def test_a_server_certificate_that_is_renewed_while_both_run(self):
        folder = self.folder()
        collector = self.tls_collector(folder, "server", reload_interval="200ms")
        daemon = self.tls_daemon(collector, folder)
        self.check_arrives(daemon, collector)
        for name in ("pem", "key"):
            shutil.copy(folder / f"renewed.{name}", folder / f"server.{name}")
        time.sleep(1)
        self.check_arrives(daemon, collector)
        daemon.restart()
        self.check_arrives(daemon, collector)

    def test_a_client_certificate_that_is_replaced_while_both_run(self):
        folder = self.folder()
        collector = self.tls_collector(folder, "server", "other-ca.pem")
        daemon = self.tls_daemon(collector, folder, client="client")
        runs = self.deliver_runs(daemon, 2)
        wait_until(lambda: self.status(daemon)["export"]["state"] == "trouble", what="trouble")
        for name in ("pem", "key"):
            shutil.copy(folder / f"foreign.{name}", folder / f"client.{name}")
        daemon.process.send_signal(signal.SIGHUP)
        collector.wait_for_ids(expected_ids(runs))
        self.check_nothing_dead(daemon)

    def test_tls_1_2_and_1_3(self):
        folder = self.folder()
        for version in ("1.2", "1.3"):
            with self.subTest(version):
                if version == "1.3" and not has_curl():
                    self.skipTest("this binary's exporter may speak TLS 1.2 only")
                collector = self.tls_collector(folder, "server", min_version=version, max_version=version)
                self.check_arrives(self.tls_daemon(collector, folder), collector)


class Credentials(CompanyTest):
    TOKEN = "a-token-that-no-log-has"

    def collector_with(self, **authenticator):
        (name, options), = authenticator.items()
        return self.real_collector({"auth": {"authenticator": name}}, extensions={name: options})

    def check_secret(self, daemon, *secrets):
        for secret in secrets:
            self.assertNotIn(secret, daemon.log)
            self.assertNotIn(secret, daemon.admin("/api/status").text)

    def test_a_bearer_token_in_a_setting(self):
        collector = self.collector_with(bearertokenauth={"token": self.TOKEN})
        daemon = self.daemon_for(collector, otlp_header=f"Authorization=Bearer%20{self.TOKEN}")
        runs = self.deliver_runs(daemon, 3)
        collector.wait_for_ids(expected_ids(runs))
        self.check_once(collector, expected_ids(runs))
        self.check_secret(daemon, self.TOKEN)

    def test_a_bearer_token_that_is_replaced_while_both_run(self):
        folder = pathlib.Path(self.new_folder())
        theirs, ours = folder / "token", folder / "headers"
        theirs.write_text(self.TOKEN)
        ours.write_text(f"Authorization: Bearer {self.TOKEN}\n")
        collector = self.collector_with(bearertokenauth={"filename": str(theirs)})
        daemon = self.daemon_for(collector, otlp_header_file=str(ours))
        runs = self.deliver_runs(daemon, 2)
        collector.wait_for_ids(expected_ids(runs))
        theirs.write_text("another-token")
        time.sleep(1)
        runs += self.deliver_runs(daemon, 2)
        wait_until(lambda: self.status(daemon)["export"]["state"] == "trouble", what="trouble")
        self.assertEqual(self.status(daemon)["export"]["category"], "refuses_credentials")
        ours.write_text("Authorization: Bearer another-token\n")
        collector.wait_for_ids(expected_ids(runs))
        self.check_once(collector, expected_ids(runs))
        self.check_nothing_dead(daemon)
        self.check_secret(daemon, self.TOKEN, "another-token")

    def test_a_wrong_token_loses_nothing(self):
        collector = self.collector_with(bearertokenauth={"token": self.TOKEN})
        daemon = self.daemon_for(collector, otlp_header="Authorization=Bearer%20wrong")
        runs = self.deliver_runs(daemon, 20)
        wait_until(lambda: self.status(daemon)["export"]["state"] == "trouble", what="trouble")
        self.assertEqual(self.status(daemon)["export"]["category"], "refuses_credentials")
        daemon.settings["otlp-header"] = f"Authorization=Bearer%20{self.TOKEN}"
        daemon.restart()
        collector.wait_for_ids(expected_ids(runs))
        self.check_once(collector, expected_ids(runs))
        self.check_nothing_dead(daemon)

    def basic_collector(self):
        return self.collector_with(basicauth={"htpasswd": {"inline": "mona:pass:with@signs\n"}})

    def test_a_user_and_a_password_in_a_header(self):
        collector = self.basic_collector()
        daemon = self.daemon_for(collector, otlp_header="Authorization=Basic%20bW9uYTpwYXNzOndpdGhAc2lnbnM=")
        runs = self.deliver_runs(daemon, 2)
        collector.wait_for_ids(expected_ids(runs))

    @unittest.skipUnless(has_curl(), "this binary does not use what an endpoint has of user and password")
    def test_a_user_and_a_password_in_the_endpoint(self):
        collector = self.basic_collector()
        endpoint = f"http://mona:pass%3Awith%40signs@127.0.0.1:{self.port_of(collector)}"
        daemon = self.daemon_for(collector, otlp_endpoint=endpoint)
        runs = self.deliver_runs(daemon, 2)
        collector.wait_for_ids(expected_ids(runs))
        self.check_secret(daemon, "signs", "bW9uYTpwYXNz")


class Limits(CompanyTest):
    LIMIT, MANY = {"max_request_body_size": 20_000}, (40, lambda: large_run(8))

    def test_requests_become_as_small_as_the_collector_takes_them(self):
        collector = self.real_collector(self.LIMIT)
        collector.stop()
        daemon = self.daemon_for(collector)
        runs = self.deliver_runs(daemon, *self.MANY)
        collector.start()
        collector.wait_for_ids(expected_ids(runs))
        self.wait_for_empty_outbox(daemon)
        self.check_once(collector, expected_ids(runs))
        self.check_nothing_dead(daemon)
        requests = re.search(r"^ghatrace_export_requests_total (\d+)$", daemon.admin("/metrics").text, re.M)[1]
        self.assertGreater(int(requests), 5, "without a limit it is one or two")

    def test_a_record_that_is_too_large_is_kept_and_the_rest_arrives(self):
        collector = self.real_collector(self.LIMIT)
        collector.stop()
        daemon = self.daemon_for(collector)
        before = self.deliver_runs(daemon, 10)
        large = self.deliver_runs(daemon, 1, large_run)
        after = self.deliver_runs(daemon, 10)
        collector.start()
        wanted = expected_ids(before + after)
        collector.wait_for_ids(wanted)
        wait_until(lambda: self.is_set_aside(daemon), what="one record in the quarantine or a dead letter")
        collector.stop()
        collector.http = {}
        collector.start()
        if self.status(daemon)["dead_letters"]:
            self.assertEqual(daemon.command("requeue").returncode, 0)
        collector.wait_for_ids(expected_ids(large), 90)
        self.check_once(collector, wanted + expected_ids(large))

    def is_set_aside(self, daemon):
        """A refused record is, when another one was accepted since: so others come, one a second."""
        status = self.status(daemon)
        if status["dead_letters"] + status["export"]["quarantined_records"] == 1:
            return True
        self.deliver_runs(daemon, 1)
        time.sleep(1)
        return False

    def test_a_collector_short_of_memory_refuses_and_gets_all_of_it_later(self):
        collector = self.real_collector(processors={"memory_limiter": {"check_interval": "100ms", "limit_mib": 1}})
        daemon = self.daemon_for(collector)
        time.sleep(0.5)  # until it has looked at its memory
        first = self.deliver_runs(daemon, 1)
        wait_until(lambda: self.status(daemon)["export"]["state"] == "trouble", what="trouble")
        runs = first + self.deliver_runs(daemon, 40)
        self.assertEqual(self.status(daemon)["export"]["category"], "overloaded")
        taken = set(collector.ids())
        collector.stop()
        collector.processors = {"memory_limiter": {"check_interval": "100ms", "limit_mib": 1000}}
        collector.start()
        collector.wait_for_ids(expected_ids(runs))
        self.wait_for_empty_outbox(daemon)
        self.check_once(collector, [key for key in expected_ids(runs) if key not in taken])
        self.check_nothing_dead(daemon)


class Outages(CompanyTest):
    """Nothing is lost; and nothing comes twice but what was on its way when the Collector or ghatrace was killed."""

    def test_a_collector_that_is_stopped_and_started(self):
        collector = self.real_collector()
        daemon = self.daemon_for(collector)
        runs = []
        for _ in range(3):
            runs += self.deliver_runs(daemon, 5)
            collector.stop()
            runs += self.deliver_runs(daemon, 5)
            collector.start()
        collector.wait_for_ids(expected_ids(runs))
        self.wait_for_empty_outbox(daemon)
        self.check_nothing_dead(daemon)
        self.check_once(collector, expected_ids(runs))

    def test_a_collector_that_is_killed_under_load(self):
        collector = self.real_collector()
        daemon = self.daemon_for(collector)
        runs = []
        for round_ in range(4):
            runs += self.deliver_runs(daemon, 25)
            collector.kill()
            collector.start()
        collector.wait_for_ids(expected_ids(runs))
        self.wait_for_empty_outbox(daemon)
        self.check_nothing_dead(daemon)
        repeated = sum(count > 1 for count in collector.ids().values())
        self.assertLess(repeated, len(expected_ids(runs)) // 2, "what was answered is not sent again")

    def test_both_are_killed(self):
        collector = self.real_collector()
        daemon = self.daemon_for(collector)
        runs = self.deliver_runs(daemon, 30)
        daemon.kill()
        collector.kill()
        daemon.start()
        runs += self.deliver_runs(daemon, 30)
        daemon.restart("kill")
        collector.start()
        collector.wait_for_ids(expected_ids(runs))
        self.wait_for_empty_outbox(daemon)
        for run in runs[::20]:
            self.check_trace(collector, run_spans(run))

    def test_a_collector_that_stops_answering(self):
        collector = self.real_collector()
        daemon = self.daemon_for(collector, otlp_timeout="1s")
        runs = self.deliver_runs(daemon, 2)
        collector.wait_for_ids(expected_ids(runs))
        collector.pause()
        runs += self.deliver_runs(daemon, 5)
        wait_until(lambda: self.status(daemon)["export"]["state"] == "trouble", what="trouble")
        collector.resume()
        collector.wait_for_ids(expected_ids(runs))
        self.wait_for_empty_outbox(daemon)
        self.check_nothing_dead(daemon)

    def test_a_receiver_that_is_not_there(self):
        collector = self.real_collector()
        collector.signal = "logs"
        collector.stop()
        collector.start()
        daemon = self.daemon_for(collector)
        runs = self.deliver_runs(daemon, 3)
        wait_until(lambda: self.status(daemon)["export"]["state"] == "trouble", what="trouble")
        self.assertEqual(self.status(daemon)["export"]["category"], "wrong_path")
        collector.signal = "traces"
        collector.stop()
        collector.start()
        collector.wait_for_ids(expected_ids(runs))
        self.check_once(collector, expected_ids(runs))
        self.check_nothing_dead(daemon)

    def test_the_port_of_the_other_protocol_loses_nothing(self):
        """4317 in place of 4318, the mistake that is made most, or the other way round."""
        collector = self.real_collector()
        other = collector.endpoint_of("http" if self.protocol == "grpc" else "grpc")
        daemon = self.daemon_for(collector, otlp_endpoint=other)
        runs = self.deliver_runs(daemon, 3)
        wait_until(lambda: self.status(daemon)["export"]["state"] == "trouble", what="trouble")
        daemon.settings["otlp-endpoint"] = collector.endpoint_of(self.protocol)
        daemon.restart()
        collector.wait_for_ids(expected_ids(runs))
        self.check_once(collector, expected_ids(runs))
        self.check_nothing_dead(daemon)


@needs_grpc
class TlsOverGrpc(Tls):
    protocol = "grpc"


@needs_grpc
class CredentialsOverGrpc(Credentials):
    protocol = "grpc"


@needs_grpc
class LimitsOverGrpc(Limits):
    protocol = "grpc"
    LIMIT, MANY = {"max_recv_msg_size_mib": 1}, (60, large_run)

    def test_a_record_that_is_too_large_is_kept_and_the_rest_arrives(self):
        self.skipTest("no record is larger than the smallest limit that can be set, 1 MiB")


@needs_grpc
class OutagesOverGrpc(Outages):
    protocol = "grpc"

    def test_many_calls_one_after_the_other(self):
        """200, or a thousand with LOAD=1."""
        collector = self.real_collector()
        daemon = self.daemon_for(collector)
        runs = []
        for _ in range(500 if os.environ.get("LOAD") else 100):
            runs += self.deliver_runs(daemon, 1)  # a job and a root each
            self.wait_for_empty_outbox(daemon)
        collector.wait_for_ids(expected_ids(runs))
        self.check_once(collector, expected_ids(runs))
        self.assertEqual(self.status(daemon)["export"]["state"], "ok")
        self.assertNotIn("will retry", daemon.log)
