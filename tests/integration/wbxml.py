"""WBXML as ActiveSync has it, for tests: a codec of its own, so that it can disagree with the
proxy's. Elements are written as Node("AirSync:Sync", …); the code pages come from codepages.tsv."""
import csv
import os

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "wbxml", "codepages.tsv")


def _load():
    codes, names = {}, {}
    with open(TABLE, encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE):
            name = "%s:%s" % (row["namespace"], row["tag_name"])
            place = int(row["page_number"]), int(row["token_hex"], 16)
            codes.setdefault(name, place)
            names.setdefault(place, name)
    return codes, names


CODES, NAMES = _load()
HEAD = b"\x03\x01\x6a\x00"


class Node:
    """One element: its name, and its children or its text (str) or opaque data (bytes)."""

    def __init__(self, name, *content):
        self.name, self.children, self.text = name, [], None
        for item in content:
            if isinstance(item, Node):
                self.children.append(item)
            elif item is not None:
                self.text = item

    def find_all(self, tag):
        for child in self.children:
            if child.name.partition(":")[2] == tag:
                yield child
            yield from child.find_all(tag)

    def get(self, tag):
        """Text of the first descendant of that tag, as str; None without one."""
        for node in self.find_all(tag):
            text = node.text
            return text.decode("utf-8", "replace") if isinstance(text, bytes) else text or ""
        return None

    def child(self, tag):
        """The same, looking at direct children only."""
        for node in self.children:
            if node.name.partition(":")[2] == tag:
                return node.text or ""
        return None

    def __repr__(self):
        inner = "".join(map(repr, self.children))
        if isinstance(self.text, bytes):
            inner = "[%d bytes]" % len(self.text)
        elif self.text:
            inner = self.text[:80] + inner
        tag = self.name.partition(":")[2]
        return "<%s>%s</%s>" % (tag, inner, tag) if inner else "<%s/>" % tag


def length_bytes(number):
    groups = [number & 0x7F]
    while number > 0x7F:
        number >>= 7
        groups.append(0x80 | number & 0x7F)
    return bytes(reversed(groups))


def encode(root):
    out, page = bytearray(HEAD), 0

    def put(node):
        nonlocal page
        wanted, token = CODES[node.name]
        if wanted != page:
            out.extend((0, wanted))
            page = wanted
        if not node.children and node.text is None:
            out.append(token)
            return
        out.append(token | 0x40)
        if isinstance(node.text, bytes):
            out.extend(b"\xc3" + length_bytes(len(node.text)) + node.text)
        elif node.text is not None:
            out.extend(b"\x03" + node.text.encode() + b"\0")
        for child in node.children:
            put(child)
        out.append(1)

    put(root)
    return bytes(out)


class _Input:
    def __init__(self, data):
        self.data, self.at = data, 0

    def byte(self):
        return self.take(1)[0]

    def take(self, count):
        if self.at + count > len(self.data):
            raise ValueError("the document ends too early")
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self):
        value = 0
        while True:
            byte = self.byte()
            value = value << 7 | byte & 0x7F
            if not byte & 0x80:
                return value

    def string(self):
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise ValueError("a string without its end")
        text = self.data[self.at:end]
        self.at = end + 1
        return text.decode("utf-8")


def decode(data):
    source = _Input(bytes(data))
    if source.take(4) != HEAD:
        raise ValueError("not an ActiveSync document: %r" % data[:40])
    page, root, stack = 0, None, []
    while source.at < len(source.data):
        token = source.byte()
        if token == 0x00:
            page = source.byte()
        elif token == 0x01:
            stack.pop()
        elif token == 0x03:
            stack[-1].text = (stack[-1].text or "") + source.string()
        elif token == 0xC3:
            stack[-1].text = source.take(source.number())
        else:
            node = Node(NAMES[page, token & 0x3F])
            if stack:
                stack[-1].children.append(node)
            elif root is None:
                root = node
            else:
                raise ValueError("two root elements")
            if token & 0x40:
                stack.append(node)
    if root is None or stack:
        raise ValueError("the document ends inside an element")
    return root
