"""Between ghatrace and the Collector: reverse and forward proxies, names with several addresses, balancers."""
import os
import pathlib
import re
import shutil
import signal
import socket
import time
import unittest

import company
import harness
import parts
from company import CompanyTest, expected_ids, has_curl, has_grpc
from harness import wait_until

needs_curl = unittest.skipUnless(has_curl(), "this binary has no otlp-proxy, and so not the client that does this")
needs_grpc = unittest.skipUnless(has_grpc(), "this binary has no OTLP/gRPC")


def with_hosts(hosts, command):
    """The command with an /etc/hosts of its own."""
    script = f'mount --bind {hosts} /etc/hosts && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", script, "sh", *command]


def can_name():
    return os.path.exists("/etc/hosts") and shutil.which("unshare") is not None and os.geteuid() == 0


def write_hosts(path, name, addresses):
    path.write_text("127.0.0.1 localhost\n" + "".join(f"{each} {name}\n" for each in addresses))
    return path


needs_names = unittest.skipUnless(can_name(), "names of our own need unshare and root")


class NamedDaemon(harness.Daemon):
    """A daemon with an /etc/hosts of its own."""
    hosts = None

    def arguments(self):
        return with_hosts(self.hosts, super().arguments())


class NetworkTest(CompanyTest):
    def check_arrives(self, daemon, collector, count=3):
        runs = self.deliver_runs(daemon, count)
        collector.wait_for_ids(expected_ids(runs))
        self.wait_for_empty_outbox(daemon)
        self.check_once(collector, expected_ids(runs))

    def wait_for_trouble(self, daemon):
        wait_until(lambda: self.status(daemon)["export"]["state"] == "trouble", what="trouble")
        return self.status(daemon)["export"]


class BehindNginx(NetworkTest):
    def behind(self, collector, server, **kinds):
        return self.ends(parts.Nginx(self.new_folder(), server.replace("COLLECTOR", f"127.0.0.1:{collector.port}")
                                     .replace("GRPC", f"127.0.0.1:{collector.grpc_port}"), **kinds))

    def daemon_to(self, nginx, collector, path="", **settings):
        return self.daemon_for(collector, otlp_endpoint=f"http://127.0.0.1:{nginx.port}{path}", **settings)

    def tls(self):
        folder = self.certificates()
        return f"ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key;"

    def test_every_encoding_passes_it_unchanged(self):
        collector = self.real_collector()
        nginx = self.behind(collector, "location /otel/ { proxy_pass http://COLLECTOR/; }")
        stand_in = self.new_collector()
        daemons = [self.new_daemon(stand_in, root_grace="1s")]
        daemons += [self.daemon_to(nginx, collector, "/otel", otlp_protocol=protocol, otlp_compression=compression)
                    for protocol, compression in (("http/protobuf", "gzip"), ("http/json", "none"))]
        events = company.deliveries()
        for daemon in daemons:
            self.deliver(daemon, events)
        company.settle(daemons)
        wanted = company.meant(stand_in)
        self.assertEqual(collector.spans(), wanted)
        self.assertEqual(set(collector.ids().values()), {2}, "once from each")
        self.assertTrue(all(' 200 ' in line for line in nginx.accesses), nginx.accesses)

    def test_tls_that_ends_at_the_proxy(self):
        collector = self.real_collector()
        nginx = self.behind(collector, self.tls() + "location / { proxy_pass http://COLLECTOR; }", listen="ssl")
        daemon = self.daemon_for(collector, otlp_endpoint=f"https://localhost:{nginx.port}",
                                 otlp_certificate=str(self.certificates() / "ca.pem"))
        self.check_arrives(daemon, collector)

    @needs_curl
    def test_http_2_where_it_is_offered(self):
        collector = self.real_collector()
        nginx = self.behind(collector, self.tls() + "location / { proxy_pass http://COLLECTOR; }", listen="ssl http2")
        daemon = self.daemon_for(collector, otlp_endpoint=f"https://localhost:{nginx.port}",
                                 otlp_certificate=str(self.certificates() / "ca.pem"))
        self.check_arrives(daemon, collector)
        self.assertTrue(all("HTTP/2.0" in line for line in nginx.accesses), nginx.accesses)

    def test_a_collector_that_is_down_behind_a_proxy_that_is_up(self):
        collector = self.real_collector()
        nginx = self.behind(collector, "location / { proxy_pass http://COLLECTOR; }")
        daemon = self.daemon_to(nginx, collector)
        self.check_arrives(daemon, collector)
        collector.stop()
        runs = self.deliver_runs(daemon, 10)
        self.assertEqual(self.wait_for_trouble(daemon)["http_status"], 502)
        collector.start()
        collector.wait_for_ids(expected_ids(runs))
        self.check_once(collector, expected_ids(runs))
        self.check_nothing_dead(daemon)

    def test_a_proxy_that_takes_small_bodies_only(self):
        collector = self.real_collector()
        nginx = self.behind(collector, "client_max_body_size 16k; location / { proxy_pass http://COLLECTOR; }")
        nginx.stop()
        daemon = self.daemon_to(nginx, collector)
        runs = self.deliver_runs(daemon, 40, lambda: company.large_run(8))
        nginx.start()
        collector.wait_for_ids(expected_ids(runs))
        self.check_once(collector, expected_ids(runs))
        self.check_nothing_dead(daemon)
        self.assertTrue(any(' 413 ' in line for line in nginx.accesses), nginx.accesses)

    def test_a_proxy_that_is_reloaded_and_restarted_under_load(self):
        collector = self.real_collector()
        nginx = self.behind(collector, "location / { proxy_pass http://COLLECTOR; }")
        daemon = self.daemon_to(nginx, collector)
        runs = []
        for _ in range(3):
            runs += self.deliver_runs(daemon, 10)
            nginx.process.send_signal(signal.SIGHUP)
            runs += self.deliver_runs(daemon, 10)
            nginx.stop()
            nginx.start()
        collector.wait_for_ids(expected_ids(runs))
        self.wait_for_empty_outbox(daemon)
        self.check_nothing_dead(daemon)

    def test_a_proxy_that_asks_for_a_password_or_points_elsewhere(self):
        collector = self.real_collector()
        for server, category in (("auth_basic x; auth_basic_user_file /dev/null;", "refuses_credentials"),
                                 ("return 301 https://$host$request_uri;", None),
                                 ("return 200 '<html>log in</html>'; default_type text/html;", None)):
            with self.subTest(server):
                nginx = self.behind(collector, f"location / {{ {server} proxy_pass http://COLLECTOR; }}")
                daemon = self.daemon_to(nginx, collector)
                runs = self.deliver_runs(daemon, 3)
                trouble = self.wait_for_trouble(daemon)
                self.assertIn(trouble["category"], (category or trouble["category"],))
                self.assertEqual([key for key in expected_ids(runs) if key in collector.ids()], [])
                daemon.settings["otlp-endpoint"] = collector.endpoint
                daemon.restart()
                collector.wait_for_ids(expected_ids(runs))
                self.check_once(collector, expected_ids(runs))
                self.check_nothing_dead(daemon)

    @needs_grpc
    def test_grpc_passes_it(self):
        collector = self.real_collector()
        nginx = self.behind(collector, "location / { grpc_pass grpc://GRPC; }", listen="http2")
        self.check_arrives(self.daemon_to(nginx, collector, otlp_protocol="grpc"), collector, 20)
        nginx = self.behind(collector, self.tls() + "location / { grpc_pass grpc://GRPC; }", listen="ssl http2")
        daemon = self.daemon_for(collector, otlp_endpoint=f"https://localhost:{nginx.port}", otlp_protocol="grpc",
                                 otlp_certificate=str(self.certificates() / "ca.pem"))
        self.check_arrives(daemon, collector, 20)

    @needs_grpc
    def test_a_collector_that_is_down_behind_a_grpc_proxy(self):
        collector = self.real_collector()
        nginx = self.behind(collector, "location / { grpc_pass grpc://GRPC; }", listen="http2")
        daemon = self.daemon_to(nginx, collector, otlp_protocol="grpc")
        collector.stop()
        runs = self.deliver_runs(daemon, 10)
        self.wait_for_trouble(daemon)
        collector.start()
        collector.wait_for_ids(expected_ids(runs))
        self.check_once(collector, expected_ids(runs))
        self.check_nothing_dead(daemon)


@needs_curl
@needs_names
class ThroughAForwardProxy(NetworkTest):
    """The Collector has a name, since proxies of the environment are not for what is on this machine."""
    NAME = "collector.test"

    def setUp(self):
        super().setUp()
        self.hosts = write_hosts(pathlib.Path(self.new_folder()) / "hosts", self.NAME, ["127.0.0.1"])

    def proxy(self, **kinds):
        return self.ends(parts.Tinyproxy(self.new_folder(), wrapped=lambda command: with_hosts(self.hosts, command), **kinds))

    def tls_collector(self):
        folder = self.certificates()
        files = {"cert_file": f"{folder}/server.pem", "key_file": f"{folder}/server.key"}
        return self.real_collector(http={"tls": files})

    def daemon_with(self, collector, environment=None, host=NAME, protocol="http/protobuf", **settings):
        daemon = NamedDaemon(self.new_folder(), environment, otlp_endpoint=collector.endpoint_of(protocol, host),
                             otlp_protocol=protocol, otlp_certificate=str(self.certificates() / "ca.pem"),
                             root_grace="1s", **settings)
        daemon.hosts = self.hosts
        self.addCleanup(daemon.stop)
        return daemon.start()

    def connects(self, proxy):
        return len(re.findall(r"Request .*: CONNECT ", proxy.log))

    def test_connect_for_https_by_setting_and_by_variable(self):
        collector = self.tls_collector()
        proxy = self.proxy()
        url = f"http://127.0.0.1:{proxy.port}"
        cases = [({}, {"otlp_proxy": url})]
        cases += [({name: url}, {}) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")]
        for environment, settings in cases:
            with self.subTest(environment or settings):
                before = self.connects(proxy)
                self.check_arrives(self.daemon_with(collector, environment, **settings), collector)
                self.assertGreater(self.connects(proxy), before, proxy.log)

    def test_http_goes_through_it_too(self):
        collector = self.real_collector()
        proxy = self.proxy()
        daemon = self.daemon_with(collector, {"http_proxy": f"http://127.0.0.1:{proxy.port}"})
        self.check_arrives(daemon, collector)
        self.assertIn("POST http://collector.test", proxy.log)

    def test_no_proxy_and_off_and_this_machine_go_past_it(self):
        collector = self.tls_collector()
        dead = f"http://127.0.0.1:{parts.free_port()}"
        for environment, settings in (({"HTTPS_PROXY": dead, "NO_PROXY": self.NAME}, {}),
                                      ({"https_proxy": dead, "no_proxy": ".example.org,.test"}, {}),
                                      ({"HTTPS_PROXY": dead}, {"otlp_proxy": "off"}),
                                      ({"HTTPS_PROXY": dead}, {"host": "localhost"})):
            with self.subTest((environment, settings)):
                self.check_arrives(self.daemon_with(collector, environment, **settings), collector)

    def test_a_proxy_with_a_password(self):
        collector = self.tls_collector()
        proxy = self.proxy(user=("mona", "s3cret-w0rd"))
        daemon = self.daemon_with(collector, otlp_proxy=f"http://mona:s3cret-w0rd@127.0.0.1:{proxy.port}")
        self.check_arrives(daemon, collector)
        self.assertNotIn("s3cret-w0rd", daemon.log)
        self.assertNotIn("s3cret-w0rd", daemon.admin("/api/status").text)

    def test_a_proxy_that_refuses_or_dies_loses_nothing(self):
        collector = self.tls_collector()
        proxy = self.proxy(user=("mona", "right"))
        daemon = self.daemon_with(collector, otlp_proxy=f"http://mona:wrong@127.0.0.1:{proxy.port}")
        runs = self.deliver_runs(daemon, 5)
        self.wait_for_trouble(daemon)
        self.assertEqual(collector.ids(), {})
        daemon.settings["otlp-proxy"] = f"http://mona:right@127.0.0.1:{proxy.port}"
        daemon.restart()
        collector.wait_for_ids(expected_ids(runs))
        self.wait_for_empty_outbox(daemon)
        proxy.kill()
        runs += self.deliver_runs(daemon, 5)
        self.wait_for_trouble(daemon)
        proxy.start()
        collector.wait_for_ids(expected_ids(runs))
        self.check_once(collector, expected_ids(runs))
        self.check_nothing_dead(daemon)

    def test_check_says_which_proxy_is_used(self):
        done = harness.run_command("check", "--insecure-no-signature", "--otlp-endpoint=https://collector.test",
                                   env={"HTTPS_PROXY": "http://mona:s3cret@proxy.test:3128"})
        self.assertIn("proxy.test:3128", done.stdout + done.stderr)
        self.assertNotIn("s3cret", done.stdout + done.stderr)

    @needs_grpc
    def test_grpc_goes_through_connect(self):
        collector = self.real_collector()
        proxy = self.proxy()
        daemon = self.daemon_with(collector, protocol="grpc", otlp_proxy=f"http://127.0.0.1:{proxy.port}")
        self.check_arrives(daemon, collector, 10)
        self.assertGreater(self.connects(proxy), 0, proxy.log)


class DroppingPort:
    """Connections to it are neither accepted nor refused: its queue is full."""

    def __init__(self, host, port):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((host, port))
        self.listener.listen(0)
        self.clients = []
        for _ in range(64):
            client = socket.socket()
            client.settimeout(0.3)
            self.clients.append(client)
            try:
                client.connect((host, port))
            except OSError:
                return
        self.stop()
        raise unittest.SkipTest("a full queue of connections takes more of them here")

    def stop(self):
        for each in (*self.clients, self.listener):
            each.close()


@needs_names
class Names(NetworkTest):
    """127.0.0.2 and ::1 are as good addresses as any; glibc puts ::1 and 127.0.0.1 first."""

    def named(self, collector, *addresses, name="collector.test"):
        folder = pathlib.Path(self.new_folder())
        daemon = NamedDaemon(folder, otlp_endpoint=f"http://{name}:{self.port_of(collector)}", root_grace="1s",
                             otlp_protocol=self.protocol)
        daemon.hosts = write_hosts(folder / "hosts", name, addresses)
        self.addCleanup(daemon.stop)
        return daemon.start()

    def point(self, daemon, *addresses, name="collector.test"):
        write_hosts(daemon.hosts, name, addresses)

    def test_an_address_of_version_6(self):
        collector = self.real_collector(host="::1")
        self.check_arrives(self.daemon_for(collector), collector)

    def test_a_name_that_has_addresses_of_both_versions_of_which_one_answers(self):
        for host in ("::1", "127.0.0.1"):
            with self.subTest(host):
                collector = self.real_collector(host=host)
                self.check_arrives(self.named(collector, "::1", "127.0.0.1"), collector)

    def test_a_name_with_a_dead_and_a_live_address(self):
        for host in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
            with self.subTest(host):
                collector = self.real_collector(host=host)
                self.check_arrives(self.named(collector, "127.0.0.1", "127.0.0.2", "127.0.0.3"), collector)

    def test_a_name_with_an_address_that_drops_all_and_a_live_one(self):
        collector = self.real_collector(host="127.0.0.2")
        self.ends(DroppingPort("127.0.0.1", self.port_of(collector)))
        daemon = self.named(collector, "127.0.0.1", "127.0.0.2")
        self.check_arrives(daemon, collector)

    def test_a_name_that_moves_while_both_run(self):
        old = self.real_collector(host="127.0.0.2", name="old")
        daemon = self.named(old, "127.0.0.2")
        self.check_arrives(daemon, old)
        new = self.real_collector(host="127.0.0.3", name="new", port=old.port, grpc_port=old.grpc_port)
        self.point(daemon, "127.0.0.3")
        old.stop()
        self.addCleanup(setattr, old, "stop", lambda: None)
        self.check_arrives(daemon, new)

    def test_a_name_that_nothing_knows_yet(self):
        collector = self.real_collector()
        daemon = self.named(collector, name="later.test")
        runs = self.deliver_runs(daemon, 3)
        self.wait_for_trouble(daemon)
        self.point(daemon, "127.0.0.1", name="later.test")
        collector.wait_for_ids(expected_ids(runs))
        self.check_once(collector, expected_ids(runs))
        self.check_nothing_dead(daemon)


class Replicas(NetworkTest):
    SICK = {"memory_limiter": {"check_interval": "100ms", "limit_mib": 1}}

    def pair(self):
        sick, well = self.real_collector(name="sick", processors=self.SICK), self.real_collector(name="well")
        time.sleep(0.5)  # until it has looked at its memory
        return sick, well

    def balanced(self, *collectors):
        balancer = parts.Balancer(*(("127.0.0.1", self.port_of(each)) for each in collectors))
        return self.ends(balancer)

    @needs_curl
    def test_a_replica_that_answers_503_to_all_is_left(self):
        sick, well = self.pair()
        balancer = self.balanced(sick, well)
        daemon = self.daemon_for(well, otlp_endpoint=f"http://127.0.0.1:{balancer.port}")
        for _ in range(3):
            self.check_arrives(daemon, well, 10)
        self.check_nothing_dead(daemon)
        self.assertIn(1, balancer.taken)

    def test_a_replica_that_is_down_is_left(self):
        sick, well = self.pair()
        sick.stop()
        self.addCleanup(setattr, sick, "stop", lambda: None)
        balancer = self.balanced(sick, well)
        daemon = self.daemon_for(well, otlp_endpoint=f"http://127.0.0.1:{balancer.port}")
        self.check_arrives(daemon, well, 10)
        self.check_nothing_dead(daemon)

    PASS, LISTEN = "location / { proxy_pass http://both; proxy_next_upstream off; }", ""

    def test_nginx_with_a_sick_replica_loses_nothing(self):
        sick, well = self.pair()
        servers = " ".join(f"server 127.0.0.1:{self.port_of(each)} max_fails=0;" for each in (sick, well))
        nginx = self.ends(parts.Nginx(self.new_folder(), self.PASS, f"upstream both {{ {servers} }}", listen=self.LISTEN))
        daemon = self.daemon_for(well, otlp_endpoint=f"http://127.0.0.1:{nginx.port}")
        runs = self.deliver_runs(daemon, 30)
        well.wait_for_ids(expected_ids(runs))
        self.wait_for_empty_outbox(daemon)
        self.check_once(well, expected_ids(runs))
        self.check_nothing_dead(daemon)


@needs_grpc
class NamesOverGrpc(Names):
    protocol = "grpc"


@needs_grpc
class ReplicasOverGrpc(Replicas):
    protocol = "grpc"
    PASS, LISTEN = "location / { grpc_pass grpc://both; grpc_next_upstream off; }", "http2"
