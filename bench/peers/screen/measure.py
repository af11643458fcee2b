#!/usr/bin/env python3
"""Measures a terminal program on a run that is there: start to first frame and to the last byte, key to first and last
byte, processor time at rest and while following, memory.

    measure.py [--keys '?,ESC'] [--live COMMAND] [--follow COMMAND] [--seconds 10] [--out FILE] -- PROGRAM ARGUMENT...

The program runs in a pseudoterminal of 200x60 cells that answers queries as xterm does: no window, so that nothing but
the program is measured. With --out it runs in the terminal that this is started in, which draws it and answers, and the
numbers go into the file: xterm -geometry 200x60 -e measure.py --out x.json -- PROGRAM. Times are of bytes that arrive; a
pause of 150 ms ends what a key has caused.
"""
import argparse, fcntl, json, os, pty, re, select, signal, statistics, struct, subprocess, sys, termios, time, tty

ANSWERS = [
    (re.compile(rb"\x1b\[0?c"), b"\x1b[?64;1;2;6;9;15;16;17;18;21;22;28c"),
    (re.compile(rb"\x1b\[>0?q"), b"\x1bP>|XTerm(379)\x1b\\"),
    (re.compile(rb"\x1b\[>0?c"), b"\x1b[>41;379;0c"),
    (re.compile(rb"\x1b\[6n"), b"\x1b[1;1R"),
    (re.compile(rb"\x1b\]11;\?(\x07|\x1b\\)"), b"\x1b]11;rgb:1010/1010/1010\x1b\\"),
    (re.compile(rb"\x1b\]10;\?(\x07|\x1b\\)"), b"\x1b]10;rgb:e0e0/e0e0/e0e0\x1b\\"),
    (re.compile(rb"\x1b\[16t"), b"\x1b[6;19;10t"),
    (re.compile(rb"\x1b\[14t"), b"\x1b[4;1140;2000t"),
    (re.compile(rb"\x1b\[18t"), b"\x1b[8;60;200t"),
]
QUERY = re.compile(rb"\x1b\[\?(\d+)\$p")  # DECRQM: not known


class Terminal:
    def __init__(self, command, through):
        self.through = through  # the terminal that this runs in draws and answers
        self.start = time.perf_counter()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            env = dict(os.environ, TERM="xterm-256color", COLORTERM="truecolor", LANG="C.UTF-8")
            os.execvpe(command[0], command, env)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 60, 200, 2000, 1140))
        self.total = 0

    def read(self, quiet, longest):
        """Reads until nothing comes for quiet seconds: first and last byte's time, how many, and the bytes."""
        first = last = None
        n, begun, text = 0, time.perf_counter(), b""
        while True:
            now = time.perf_counter()
            wait = quiet if last is None else quiet - (now - last)
            if now - begun > longest or wait <= 0:
                return first, last, n, text
            wait = min(wait, longest - (now - begun))
            ready, _, _ = select.select([self.fd, 0] if self.through else [self.fd], [], [], max(wait, 0))
            if self.through and 0 in ready:
                os.write(self.fd, os.read(0, 1 << 12))
            if self.fd not in ready:
                continue
            try:
                data = os.read(self.fd, 1 << 16)
            except OSError:
                return first, last, n, text
            last = time.perf_counter()
            first = first or last
            n += len(data)
            text = (text + data)[-(1 << 20):]
            if self.through:
                os.write(1, data)
            else:
                self.answer(data)

    def answer(self, data):
        for pattern, reply in ANSWERS:
            if pattern.search(data):
                os.write(self.fd, reply)
        for mode in QUERY.findall(data):
            os.write(self.fd, b"\x1b[?" + mode + b";0$y")

    def tree(self):
        children, found = {}, [self.pid]
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat") as f:
                    children.setdefault(int(f.read().rsplit(")", 1)[1].split()[1]), []).append(int(pid))
            except OSError:
                pass
        for pid in found:
            found += children.get(pid, [])
        return found

    def cpu(self):
        ticks = 0
        for pid in self.tree():
            try:
                with open(f"/proc/{pid}/stat") as f:
                    fields = f.read().rsplit(")", 1)[1].split()
                ticks += int(fields[11]) + int(fields[12])
            except OSError:
                pass
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory(self):
        kib = 0
        for pid in self.tree():
            try:
                with open(f"/proc/{pid}/status") as f:
                    kib += sum(int(line.split()[1]) for line in f if line.startswith("VmHWM"))
            except OSError:
                pass
        return kib / 1024


def milliseconds(values):
    values = sorted(values)
    return {"median": round(1e3 * statistics.median(values), 1), "p99": round(1e3 * values[min(int(0.99 * len(values)), len(values) - 1)], 1)}


def writer(command):
    return subprocess.Popen(command, shell=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def end(process):
    os.killpg(process.pid, signal.SIGTERM)
    process.wait()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--keys", default="?,ESC")
    p.add_argument("--rounds", type=int, default=40)
    p.add_argument("--open", default="", help="keys pressed before anything is measured")
    p.add_argument("--live", default="", help="command that writes to the run while keys are pressed")
    p.add_argument("--follow", action="append", default=[], help="command that writes to the run while it is watched")
    p.add_argument("--seconds", type=float, default=10)
    p.add_argument("--out", default="", help="write the numbers here, and run in this terminal")
    p.add_argument("command", nargs=argparse.REMAINDER)
    o = p.parse_args()
    if o.out:
        tty.setraw(0)
    t = Terminal(o.command[1:] if o.command[0] == "--" else o.command, bool(o.out))
    first, last, n, _ = t.read(3, 15)
    r = {"first_byte_ms": round(1e3 * (first - t.start)), "settled_ms": round(1e3 * (last - t.start)), "bytes": n, "cpu_s": t.cpu()}
    for key in filter(None, o.open.split(",")):
        os.write(t.fd, {"ESC": b"\x1b", "ENTER": b"\r"}.get(key, key.encode()))
        t.read(1, 10)
    before, begun = t.cpu(), time.perf_counter()
    _, _, idle, _ = t.read(1e9, o.seconds)
    r["idle"] = {"cpu_percent": round(100 * (t.cpu() - before) / (time.perf_counter() - begun), 1), "bytes_per_s": round(idle / o.seconds)}
    live = writer(o.live) if o.live else None
    firsts, lasts, missed = [], [], 0
    for _ in range(o.rounds):
        for key in o.keys.split(","):
            sent = time.perf_counter()
            os.write(t.fd, {"ESC": b"\x1b", "TAB": b"\t"}.get(key, key.encode()))
            first, last, n, _ = t.read(0.15, 5)
            if first is None:
                missed += 1
                continue
            firsts.append(first - sent)
            lasts.append(last - sent)
    if live:
        end(live)
    if firsts:
        r["key_to_first_byte_ms"], r["key_to_last_byte_ms"], r["keys_without_answer"] = milliseconds(firsts), milliseconds(lasts), missed
    for command in o.follow:
        following = writer(command)
        t.read(1e9, 2)
        before, begun = t.cpu(), time.perf_counter()
        _, _, n, _ = t.read(1e9, o.seconds)
        r.setdefault("follow", []).append({"cpu_percent": round(100 * (t.cpu() - before) / (time.perf_counter() - begun), 1), "bytes_per_s": round(n / o.seconds), "with": command.split()[-1]})
        end(following)
    r["memory_mib"] = round(t.memory())
    os.write(t.fd, b"q")
    t.read(1, 3)
    os.kill(t.pid, signal.SIGKILL)
    if o.out:
        with open(o.out, "w") as f:
            json.dump(r, f)
    else:
        print(json.dumps(r, indent=1))


main()
