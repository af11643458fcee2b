#!/usr/bin/env python3
"""Times the screen of a run on another machine, over a line of 200 ms and 1 Mbit/s.

    bench/far/measure.py PROGRAM RUN     PROGRAM: build/focusnfix; RUN: a run folder that is not running

It starts an sshd of its own on the loopback and reaches it through a ProxyCommand that delays every
byte by 100 ms each way and lets 125,000 bytes a second through: `measure.py line HOST PORT`. Compared are

    cold   focusnfix attach HOST:RUN      the screen here, an empty cache
    warm   the same again                 what was seen before is in the cache
    ssh    ssh -t HOST focusnfix attach   the screen there
    here   focusnfix attach RUN           no other machine: what the screen itself takes
    master as cold, where ssh has a master connection (ControlMaster) already

in a terminal of 160x50 cells that answers no questions. "frame" is the time until the run's step counter is on the
screen; "first byte" and "last byte" are of what the screen writes for one key, over 40 keys that
change the tab or move a line. Needs OpenSSH's server; Python's standard library is enough.
"""

import fcntl
import os
import pty
import re
import select
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time

DELAY = 0.1  # seconds, each way
RATE = 125_000  # bytes a second, each way


def line(host, port):
    """Carries standard input and output to a server, slowly."""
    server = socket.create_connection((host, int(port)))
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def carry(read, write, end):
        blocks, more = [], threading.Condition()

        def send():
            while True:
                with more:
                    while not blocks:
                        more.wait()
                    at, data = blocks.pop(0)
                time.sleep(max(0, at - time.monotonic()))
                if not data:
                    end()
                    return
                write(data)

        threading.Thread(target=send, daemon=True).start()
        free = time.monotonic()
        waiting = 0
        while True:
            data = read(1460)
            free = max(free, time.monotonic()) + len(data) / RATE
            with more:
                blocks.append((free + DELAY, data))
                more.notify()
            if not data:
                return
            waiting = free - time.monotonic()
            if waiting > 0.25:  # a router's buffer is not endless
                time.sleep(waiting - 0.25)

    def up():
        carry(lambda n: os.read(0, n), server.sendall, lambda: server.shutdown(socket.SHUT_WR))

    threading.Thread(target=up, daemon=True).start()
    carry(server.recv, lambda data: os.write(1, data), lambda: os._exit(0))
    time.sleep(1)


class Screen:
    """A program in a terminal."""

    def __init__(self, command, env):
        self.started = time.monotonic()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], command, env)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
        self.text = b""

    def read(self, seconds):
        """The time of the next output, or None after so many seconds without."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return None
        try:
            self.text += os.read(self.fd, 1 << 16)
        except OSError:
            raise SystemExit(f"the screen has ended:\n{self.text[-2000:].decode(errors='replace')}")
        return time.monotonic()

    def until(self, pattern, seconds=30):
        """Seconds from the start until the output has the pattern."""
        late = time.monotonic() + seconds
        while not re.search(pattern, self.text):
            if time.monotonic() > late:
                raise SystemExit(f"no {pattern} within {seconds} s:\n{self.text[-2000:].decode(errors='replace')}")
            self.read(0.05)
        return time.monotonic() - self.started

    def quiet(self, seconds):
        while self.read(seconds):
            pass

    def key(self, key):
        """Milliseconds to the first and the last byte that a key brings."""
        pressed = time.monotonic()
        os.write(self.fd, key)
        first = self.read(3)
        if first is None:
            return None
        last = first
        while now := self.read(0.5):
            last = now
        return 1e3 * (first - pressed), 1e3 * (last - pressed)

    def end(self):
        os.write(self.fd, b"\x03")
        late = time.monotonic() + 5
        while time.monotonic() < late:
            try:
                if not os.read(self.fd, 1 << 16):
                    break
            except OSError:
                break
        os.waitpid(self.pid, 0)


def serve(folder, port):
    """Starts sshd; returns an ssh that reaches it as "far" through the line."""
    at = lambda name: os.path.join(folder, name)
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", at(key)], check=True)
    files = {
        "sshd": f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {at('host')}\nAuthorizedKeysFile {at('user.pub')}\n"
        "StrictModes no\nUsePAM no\nPidFile none\n",
        "config": f"Host shared\n ControlMaster auto\n ControlPersist 60\n ControlPath {at('master')}\n"
        f"Host far shared\n HostName 127.0.0.1\n Port {port}\n IdentityFile {at('user')}\n IdentitiesOnly yes\n"
        f" UserKnownHostsFile {at('known')}\n StrictHostKeyChecking accept-new\n LogLevel ERROR\n"
        f" ProxyCommand {sys.executable} {os.path.abspath(__file__)} line %h %p\n",
        "ssh": f'#!/bin/sh\nexec ssh -F {at("config")} "$@"\n',
    }
    for name, text in files.items():
        with open(at(name), "w") as f:
            f.write(text)
    os.chmod(at("ssh"), 0o700)
    server = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", at("sshd")], stderr=subprocess.DEVNULL)
    time.sleep(1)
    return server, at("ssh")


def tell(name, frame, keys):
    first, last = [k[0] for k in keys], [k[1] for k in keys]
    p99 = lambda v: sorted(v)[max(0, int(0.99 * len(v)) - 1)]
    print(
        f"| {name} | {frame:.2f} s | {statistics.median(first):.1f} ms | {p99(first):.1f} ms "
        f"| {statistics.median(last):.1f} ms | {p99(last):.1f} ms |",
        flush=True,
    )


def main():
    program, run = (os.path.abspath(p) for p in sys.argv[1:3])
    folder = tempfile.mkdtemp(prefix="fnf-far-")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    server, ssh = serve(folder, port)
    env = {**os.environ, "XDG_CACHE_HOME": folder + "/cache", "XDG_CONFIG_HOME": folder + "/config", "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    try:
        subprocess.run([ssh, "far", "true"], check=True)
        times = []
        for _ in range(3):
            began = time.monotonic()
            subprocess.run([ssh, "far", "true"], check=True)
            times.append(time.monotonic() - began)
        print(f"ssh HOST true: {min(times):.2f} s\n")
        print("| screen | first frame | key, first byte: median | p99 | last byte: median | p99 |\n| --- | --- | --- | --- | --- | --- |")
        here = [program, "attach", "--ssh", ssh, "--remote-program", program, f"far:{run}"]
        there = [ssh, "-t", "far", f"COLORTERM=truecolor {program} attach {run}"]
        subprocess.run([ssh, "shared", "true"], check=True, stderr=subprocess.DEVNULL)
        shared = [*here[:-1], f"shared:{run}"]
        for name, command in (("attach HOST:RUN, cold, master", shared), ("attach HOST:RUN, cold", here), ("attach HOST:RUN, warm", here), ("ssh -t HOST attach", there), ("attach RUN, no link", [program, "attach", run])):
            screen = Screen(command, env)
            frame = screen.until(rb"\d+\S*/\d+")
            screen.quiet(4)
            keys = [k for _ in range(10) for key in (b"3", b"2", b"1", b"2") if (k := screen.key(key))]
            tell(name, frame, keys)
            screen.end()
    finally:
        server.kill()
        shutil.rmtree(folder)


if __name__ == "__main__":
    if sys.argv[1:2] == ["line"]:
        line(*sys.argv[2:])
    elif len(sys.argv) != 3:
        sys.exit(__doc__)
    else:
        main()
