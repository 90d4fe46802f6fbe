"""Ports for programs that are stopped and started again."""
import os
import random
import socket

# Processes that run tests at the same time have ranges of their own: "20000-20180".
FIRST, LAST = map(int, os.environ.get("TEST_PORTS", "20000-31999").split("-"))

_ports = set()


def free_port(host="127.0.0.1"):
    """A port that no call before this one returned, free now. It is not of those that the kernel gives to connections: one
    of these would have it when a program that was stopped needs it again."""
    while True:
        port = random.randint(FIRST, LAST)
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
        if port not in _ports:
            _ports.add(port)
            return port
