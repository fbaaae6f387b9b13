"""Runs a program on a terminal and plays a script of steps with it; prints what happened as JSON.

argv[1] is JSON: {"argv": [...], "rows": N, "cols": N, "env": {...}, "steps": [["expect", TEXT] | ["send", TEXT] | ["signal", NUMBER] | ["resize", ROWS, COLS]]}.
The result: {"output", "code" (negative: killed by that signal), "restored" (the terminal's modes are as they were), "failed" (a step that never came)}.
"""
import fcntl, json, os, select, signal, struct, sys, termios, time

job = json.loads(sys.argv[1])
master, slave = os.openpty()


def resize(rows, cols):
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


resize(job.get("rows", 24), job.get("cols", 80))
before = termios.tcgetattr(slave)
pid = os.fork()
if pid == 0:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in (0, 1, 2):
        os.dup2(slave, fd)
    os.closerange(3, 100)
    os.execvpe(job["argv"][0], job["argv"], {**os.environ, **job.get("env", {})})

output = b""
status = None
failed = None
deadline = time.time() + job.get("timeout", 20)


def pump(seconds):
    global output, status
    ready, _, _ = select.select([master], [], [], seconds)
    if ready:
        output += os.read(master, 65536)
    if status is None:
        done, value = os.waitpid(pid, os.WNOHANG)
        if done:
            status = value
    return bool(ready)


seen = 0
for step in job["steps"]:
    kind = step[0]
    if kind == "expect":
        wanted = step[1].encode()
        while output.find(wanted, seen) < 0:
            if time.time() > deadline or (status is not None and not pump(0.1)):
                failed = step
                break
            pump(0.05)
        if failed:
            break
        seen = output.find(wanted, seen) + len(wanted)
    elif kind == "send":
        os.write(master, step[1].encode())
    elif kind == "signal":
        os.kill(pid, step[1])
    elif kind == "resize":
        resize(step[1], step[2])
while status is None and time.time() < deadline:
    pump(0.05)
if status is None:
    failed = failed or ["exit"]
    os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
while pump(0.05):
    pass
code = os.waitstatus_to_exitcode(status)
print(json.dumps({"output": output.decode("utf8", "replace"), "code": code, "restored": termios.tcgetattr(slave) == before, "failed": failed}))
