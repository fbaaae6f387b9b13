"""Asks for names, as the arguments say: SERVER NAME[/TYPE] ..., with options udp, tcp, edns=BYTES, times=N, from=ADDRESS, raw=HEX. A line for each answer."""
import select, socket, struct, sys

TYPES = {"A": 1, "PTR": 12, "AAAA": 28, "TXT": 16, "MX": 15, "ANY": 255}
words = [w for w in sys.argv[1:] if "=" not in w and w not in ("udp", "tcp")]
options = dict(w.split("=", 1) for w in sys.argv[1:] if "=" in w)
server, names, tcp = words[0], words[1:], "tcp" in sys.argv
family = socket.AF_INET6 if ":" in server else socket.AF_INET
wait = float(options.get("wait", 3))


def query(identity, text):
    name, _, kind = text.partition("/")
    wire = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"
    edns = options.get("edns")
    extra = b"" if edns is None else b"\0" + struct.pack(">HHIH", 41, int(edns), 0, 0)
    return struct.pack(">HHHHHH", identity, 0x100, 1, 0, 0, edns is not None) + wire + struct.pack(">HH", TYPES[kind or "A"], 1) + extra


def skip(message, at):
    while message[at]:
        if message[at] >= 192:
            return at + 2
        at += 1 + message[at]
    return at + 1


def labels(message, at):
    out = []
    while message[at]:
        out.append(message[at + 1 : at + 1 + message[at]].decode())
        at += 1 + message[at]
    return ".".join(out)


def shown(message):
    identity, flags, questions, answers, _, additional = struct.unpack(">HHHHHH", message[:12])
    at, found = 12, []
    for _ in range(questions):
        at = skip(message, at) + 4
    for _ in range(answers):
        at = skip(message, at)
        kind, _, _, size = struct.unpack(">HHIH", message[at : at + 10])
        at += 10
        data = message[at : at + size]
        found.append(socket.inet_ntop(socket.AF_INET6 if kind == 28 else socket.AF_INET, data) if kind in (1, 28) else labels(data, 0))
        at += size
    rcode = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"][flags & 15]
    many = f"{len(found)} answers" if len(found) > 5 else " ".join(sorted(found))
    return " ".join(word for word in (rcode, "truncated" if flags & 0x200 else "", "edns" if additional else "", many) if word)


messages = [bytes.fromhex(options["raw"])] if "raw" in options else [query(i & 0xFFFF, n) for n in names for i in range(int(options.get("times", 1)))]
if tcp:
    s = socket.create_connection((server, 53), wait)
    s.settimeout(wait)
    s.sendall(b"".join(struct.pack(">H", len(m)) + m for m in messages))
    for _ in messages:
        head = s.recv(2, socket.MSG_WAITALL)
        if len(head) < 2:
            print("closed")
            break
        print(shown(s.recv(struct.unpack(">H", head)[0], socket.MSG_WAITALL)))
elif len(messages) > 100:
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    s.connect((server, 53))
    for message in messages:
        s.send(message)
    seen = {}
    while select.select([s], [], [], wait)[0]:
        reply = s.recv(65535)
        seen[reply[:2]] = shown(reply)
        if len(seen) == len(messages):
            break
    print(len(seen), *sorted(set(seen.values())))
else:
    for message in messages:
        s = socket.socket(family, socket.SOCK_DGRAM)
        s.settimeout(wait)
        try:
            if "from" in options:
                s.bind((options["from"], 0))
            s.connect((server, 53))
            s.send(message)
            print(shown(s.recv(65535)))
        except OSError as error:
            print(type(error).__name__)
