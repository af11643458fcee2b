"""Records what a terminal answers to the probe's questions (tui/probe.go, Query):

    termshot -t konsole -s wait-exit -- python3 tui/picture/testdata/record.py FILE

The first line of FILE is columns, rows and TIOCGWINSZ pixels; the rest are the bytes as they came.
Recorded with xterm 379, konsole 22.12.3, mlterm 3.9.0, kitty 0.26.5 and tmux 3.3a on Debian 12.
"""
import fcntl, os, select, struct, sys, termios, time, tty

kitty = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"
query = b"\x1b[>q\x1b[16t\x1b[14t\x1b[?1;1;0S\x1b[?2;1;0S\x1b[?2026$p"
if "TMUX" in os.environ:
    kitty = b"\x1b[>q" + kitty
    kitty = b"\x1bPtmux;" + kitty.replace(b"\x1b", b"\x1b\x1b") + b"\x1b\\"
size = struct.unpack("HHHH", fcntl.ioctl(1, termios.TIOCGWINSZ, b"\0" * 8))
saved = termios.tcgetattr(0)
tty.setraw(0)
os.write(1, query + kitty + b"\x1b[c")
got = b""
end = time.time() + 2
while time.time() < end:
    if select.select([0], [], [], 0.1)[0]:
        got += os.read(0, 4096)
termios.tcsetattr(0, termios.TCSADRAIN, saved)
with open(sys.argv[1], "wb") as f:
    f.write(b"%d %d %d %d\n" % (size[1], size[0], size[2], size[3]) + got)
