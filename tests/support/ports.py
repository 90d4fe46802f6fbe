"""Ports for programs that are stopped and started again."""
import random
import socket

_ports = set()


def free_port(host="127.0.0.1"):
    """A port that no call before this one returned, free now. It is not of those that the kernel gives to connections: one
    of these would have it when a program that was stopped needs it again."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
        if port not in _ports:
            _ports.add(port)
            return port
