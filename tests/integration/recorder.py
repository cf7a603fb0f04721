"""An upstream that writes down every byte it is sent and answers as the test says. It tells what
really arrived: the order and spelling of fields, and requests of which the end never came."""
import socket
import ssl
import threading


class Received:
    """One request, from the moment its head is there."""

    def __init__(self, head):
        first, *lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, self.version = first.split(" ", 2)
        self.headers = [(n, v.strip()) for n, _, v in (line.partition(":") for line in lines)]
        self.body = b""
        self.is_whole = False
        self.connection = 0  # which, from 1 on
        self.peer = None     # common name of the certificate that it showed

    def all(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def header(self, name):
        values = self.all(name)
        return values[0] if values else None

    def __repr__(self):
        return "%s %s%s" % (self.method, self.target, "" if self.is_whole else " (never at its end)")


def answer_bytes(status=200, body=b"", headers=(), chunked=False, reason="OK"):
    fields = list(headers)
    if chunked:
        fields.append(("Transfer-Encoding", "chunked"))
        body = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in body if p) + b"0\r\n\r\n"
    else:
        fields.append(("Content-Length", str(len(body))))
    lines = ["HTTP/1.1 %d %s" % (status, reason)] + ["%s: %s" % field for field in fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


class Recorder:
    """answer(received, connection) returns bytes to send, or None to hang up. By default every
    request gets an empty 200. client_ca: the certificate of an authority of which clients have to show one."""

    def __init__(self, answer=None, port=0, certificate=None, backlog=128, client_ca=None):
        self.answer = answer or (lambda received, connection: answer_bytes())
        self.requests, self.connections, self.raw = [], 0, b""
        self.lock = threading.Lock()
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate.certificate, certificate.key)
        if client_ca:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(client_ca)
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(backlog)
        self.port = self.listener.getsockname()[1]
        self.open = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def whole(self):
        with self.lock:
            return [r for r in self.requests if r.is_whole]

    def begun(self):
        with self.lock:
            return list(self.requests)

    def clear(self):
        with self.lock:
            self.requests.clear()
            self.raw = b""

    def stop(self):
        # A thread that waits in accept() would keep the port, and answer for the next recorder.
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # stopped before
        self.listener.close()
        self.hang_up()

    def hang_up(self):
        """Ends all connections, and goes on to take new ones."""
        with self.lock:
            for connection in list(self.open):
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.connections += 1
                self.open.add(connection)
            threading.Thread(target=self._serve, args=(connection, self.connections), daemon=True).start()

    def _serve(self, raw, number):
        connection, peer = raw, None
        try:
            if self.context:
                connection = self.context.wrap_socket(raw, server_side=True)
                names = (connection.getpeercert() or {}).get("subject", ())
                peer = dict(name for part in names for name in part).get("commonName")
            self._serve_requests(connection, number, peer)
        except (OSError, ValueError, EOFError):
            pass
        finally:
            with self.lock:
                self.open.discard(raw)
            connection.close()

    def _serve_requests(self, connection, number, peer):
        buffer = b""

        def more():
            nonlocal buffer
            data = connection.recv(65536)
            if not data:
                raise EOFError
            with self.lock:
                self.raw += data[:max(0, (1 << 20) - len(self.raw))]
            buffer += data

        def line():
            nonlocal buffer
            while b"\r\n" not in buffer:
                more()
            text, _, buffer = buffer.partition(b"\r\n")
            return text

        def content(received, count):
            nonlocal buffer
            while count:
                if not buffer:
                    more()
                piece, buffer = buffer[:count], buffer[count:]
                received.body += piece
                count -= len(piece)

        while True:
            while b"\r\n\r\n" not in buffer:
                more()
            head, _, buffer = buffer.partition(b"\r\n\r\n")
            received = Received(head)
            received.connection, received.peer = number, peer
            with self.lock:
                self.requests.append(received)
            if (received.header("Transfer-Encoding") or "").lower() == "chunked":
                while True:
                    size = int(line().split(b";")[0], 16)
                    if size == 0:
                        break
                    content(received, size)
                    line()
                while line():
                    pass
            else:
                content(received, int(received.header("Content-Length") or 0))
            received.is_whole = True
            reply = self.answer(received, connection)
            if reply is None:
                return
            connection.sendall(reply)
            if b"connection: close" in reply.split(b"\r\n\r\n")[0].lower():
                return
