#!/usr/bin/python3
"""What it costs to read WBXML, ours beside libwbxml's SAX parser and its tree (bench_wbxml_reader): rows of
bytes a second, instructions and allocations an element. Run by hand: prints them as JSON.
"""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import instructions  # noqa: E402
from table import Row, Target  # noqa: E402

SAMPLES = os.path.join(instructions.ROOT, "tests", "data", "wbxml", "good")
# So few rounds that valgrind takes a second for each; the counts are exact.
ROUNDS = {("ours", "sync"): (2, 12), ("sax", "sync"): (1, 3), ("tree", "sync"): (1, 2),
          ("ours", "samples"): (2, 12), ("sax", "samples"): (1, 3), ("tree", "samples"): (1, 2)}


def program():
    return os.path.join(instructions.BUILD, "tests", "bench", "bench_wbxml_reader")


def instructions_of(parser, document):
    """Of one round, and how many elements and bytes that is."""
    def run(rounds):
        return instructions.of_program([program(), parser, document, SAMPLES, str(rounds)])
    few, many = ROUNDS[(parser, document)]
    (fewer, _), (more, said) = run(few), run(many)
    size = json.loads(said)
    return (more - fewer) / (many - few), size["elements"], size["bytes"]


def rows(documents):
    """One dict for each parser and each of these documents, with ratio: its instructions by those of libwbxml's SAX parser."""
    output = subprocess.run([program(), "--json", SAMPLES], stdout=subprocess.PIPE, check=True).stdout
    table = [row for row in json.loads(output) if row["document"] in documents]
    for row in table:
        count, elements, size = instructions_of(row["parser"], row["document"])
        row["instructions_per_element"] = count / elements
        row["instructions_per_byte"] = count / size
    for row in table:
        sax = next(other for other in table if other["parser"] == "sax" and other["document"] == row["document"])
        row["ratio"] = row["instructions_per_element"] / sax["instructions_per_element"]
    return table


NAMES = {"ours": "easproxyd", "sax": "libwbxml, SAX", "tree": "libwbxml, tree"}
DOCUMENTS = {"sync": "a Sync answer of 500 kB", "samples": "the samples"}
GROUP = "reading WBXML"


def measure(bench):
    """All rows of this kind, for bench.py."""
    documents = bench.scaled(list(DOCUMENTS), ["samples"])
    table = rows(documents)
    for document, what in ((document, DOCUMENTS[document]) for document in documents):
        def values(key, of=document):
            return {NAMES[row["parser"]]: [row[key]] for row in table if row["document"] == of}
        yield Row(GROUP, what + ", speed", "MB/s", values("mb_per_s"), more_is_better=True)
        yield Row(GROUP, what + ", for an element", "instructions", values("instructions_per_element"), Target(0.1))
        yield Row(GROUP, what + ", for an element", "allocations", values("allocations_per_element"), Target(0, True))


if __name__ == "__main__":
    json.dump(rows(DOCUMENTS), sys.stdout, indent=1)
    print()
