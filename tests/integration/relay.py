"""Stands in front of a TCP server, and makes it slow, mute or mad: what a network, or a sick server, does
to those who depend on it."""
import os
import selectors
import socket
import struct
import threading
import time


class Relay:
    """Listens at `address` (host, port; port 0: a free one) and passes everything on to `target`, as
    `mode` says for each connection that comes, and for all that is open:
      "pass"      unchanged, each piece `delay` seconds late in either direction
      "mute"      takes connections and what is sent, and never says anything
      "reset"     ends each connection hard as soon as something was sent on it
      "nonsense"  answers whatever was sent with random bytes, `sized` (as Kerberos over TCP has it, behind
                  their number in four bytes) or not, and passes nothing on"""

    def __init__(self, target, address=("127.0.0.1", 0), mode="pass", delay=0.0, sized=False):
        self.target, self.mode, self.delay, self.sized = target, mode, delay, sized
        self.connections = 0
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(address)
        self.listener.listen(128)
        self.address = self.listener.getsockname()
        self.port = self.address[1]
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.peers = {}  # each socket's other one, or None where nothing is passed on
        self.late = []  # (when, socket, bytes), in the order of their times
        self.is_over = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def stop(self):
        self.is_over = True
        self.thread.join(10)

    def _run(self):
        while not self.is_over:
            wait = 0.05
            if self.late:
                wait = max(0.0, min(wait, self.late[0][0] - time.monotonic()))
            for key, _ in self.selector.select(wait):
                if key.fileobj is self.listener:
                    self._accept()
                elif key.fileobj in self.peers:
                    self._read(key.fileobj)
            while self.late and self.late[0][0] <= time.monotonic():
                _, to, data = self.late.pop(0)
                self._write(to, data)
        for one in list(self.peers):
            self._close(one)
        self.listener.close()
        self.selector.close()

    def _accept(self):
        near, _ = self.listener.accept()
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connections += 1
        far = None
        if self.mode == "pass":
            try:
                far = socket.create_connection(self.target, timeout=5)
                far.settimeout(5)
                far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                near.close()
                return
            self._watch(far, near)
        near.settimeout(5)
        self._watch(near, far)

    def _watch(self, one, other):
        self.peers[one] = other
        self.selector.register(one, selectors.EVENT_READ)

    def _read(self, one):
        try:
            data = one.recv(65536)
        except OSError:
            data = b""
        other = self.peers[one]
        if self.mode == "pass" and other is not None:
            if not data:
                self.selector.unregister(one)  # its end is passed on like a piece
            self.late.append((time.monotonic() + self.delay, other, data))
        elif not data:
            self._close(one)
        elif self.mode == "reset":
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._close(one)
        elif self.mode == "nonsense":
            noise = os.urandom(200)
            self._write(one, struct.pack(">I", len(noise)) + noise if self.sized else noise)

    def _write(self, to, data):
        """Nothing to write is the end of the connection, on both sides."""
        try:
            if data and to in self.peers:
                to.sendall(data)
                return
        except OSError:
            pass
        self._close(to)

    def _close(self, one):
        """And the other end with it."""
        for end in (one, self.peers.get(one)):
            if end not in self.peers:
                continue
            del self.peers[end]
            try:
                self.selector.unregister(end)
            except KeyError:
                pass
            end.close()
