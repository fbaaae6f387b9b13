"""A DNS server for tests, on one address: prints a line for each question (unless `quiet`), and misbehaves for names that ask for it."""
import os, socket, struct, sys, threading, time

ADDRESS = sys.argv[1]
FAMILY = socket.AF_INET6 if ":" in ADDRESS else socket.AF_INET


def name_of(query):
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("latin1"))
        at += 1 + query[at]
    return ".".join(labels).lower(), at + 5


def answer(query, end, kind, count=1, rcode=0, identity=None, flags=0x8180, address=None):
    records = b""
    for i in range(count):
        data = socket.inet_aton(address or f"203.0.113.{7 + i % 200}") if kind == 1 else socket.inet_pton(socket.AF_INET6, "2001:db8::7")
        records += b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(data)) + data
    identity = query[:2] if identity is None else identity
    return identity + struct.pack(">HHHHH", flags | rcode, 1, count, 0, 0) + query[12:end] + records


def replies(query, tcp):
    name, end = name_of(query)
    kind = struct.unpack(">H", query[end - 4 : end - 2])[0]
    if "quiet" not in sys.argv:
        # Whole, in one write: others do so at the same time.
        os.write(1, f"{name} {kind} {'tcp' if tcp else 'udp'}\n".encode())
    if name.startswith("silent"):
        return []
    if name.startswith("slow"):
        time.sleep(0.4)
    if name.startswith("at-"):
        return [answer(query, end, kind, address=name[3:].split(".")[0].replace("-", "."))]
    if name.startswith("broken"):
        return [answer(query, end, kind, 0, 2)]
    if name.startswith("missing"):
        return [answer(query, end, kind, 0, 3)]
    if name.startswith("big"):
        return [answer(query, end, kind, 100)] if tcp else [answer(query, end, kind, 0, flags=0x8380)]
    if name.startswith("oversized"):
        return [answer(query, end, kind, 100)]
    if name.startswith("spoofed"):
        other = bytes([query[0] ^ 255, query[1]])
        forged = bytearray(answer(query, end, kind, 2))
        forged[13] ^= 1
        return [b"", b"\0" * 5, answer(query, end, kind, 3, identity=other), bytes(forged), query, answer(query, end, kind)]
    return [answer(query, end, kind)]


def datagram(udp, query, peer):
    for reply in replies(query, False):
        udp.sendto(reply, peer)


def stream(connection):
    with connection:
        while True:
            head = connection.recv(2, socket.MSG_WAITALL)
            if len(head) < 2:
                return
            query = connection.recv(struct.unpack(">H", head)[0], socket.MSG_WAITALL)
            for reply in replies(query, True):
                connection.sendall(struct.pack(">H", len(reply)) + reply)


def serve_streams(tcp):
    while True:
        threading.Thread(target=stream, args=(tcp.accept()[0],), daemon=True).start()


udp, tcp = socket.socket(FAMILY, socket.SOCK_DGRAM), socket.socket(FAMILY, socket.SOCK_STREAM)
tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
udp.bind((ADDRESS, 53))
tcp.bind((ADDRESS, 53))
tcp.listen(200)
threading.Thread(target=serve_streams, args=(tcp,), daemon=True).start()
print("ready", flush=True)
while True:
    query, peer = udp.recvfrom(4096)
    threading.Thread(target=datagram, args=(udp, query, peer), daemon=True).start()
