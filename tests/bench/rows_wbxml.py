#!/usr/bin/python3
"""What it costs to read WBXML, ours beside libwbxml's SAX parser and its tree (bench_wbxml_reader): rows of
bytes a second, instructions and allocations an element. Run by hand: prints them; --json: as JSON.
"""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import instructions  # noqa: E402

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


def rows():
    """One dict for each parser and document, with ratio: its instructions by those of libwbxml's SAX parser."""
    output = subprocess.run([program(), "--json", SAMPLES], stdout=subprocess.PIPE, check=True).stdout
    table = json.loads(output)
    for row in table:
        count, elements, size = instructions_of(row["parser"], row["document"])
        row["instructions_per_element"] = count / elements
        row["instructions_per_byte"] = count / size
    for row in table:
        sax = next(other for other in table if other["parser"] == "sax" and other["document"] == row["document"])
        row["ratio"] = row["instructions_per_element"] / sax["instructions_per_element"]
    return table


def main():
    table = rows()
    if "--json" in sys.argv[1:]:
        json.dump(table, sys.stdout, indent=1)
        print()
        return
    print("%-8s %-5s %10s %22s %20s %18s" % ("", "", "MB/s", "instructions/element", "allocations/element",
                                             "instructions, ratio"))
    for row in table:
        print("%-8s %-5s %10.0f %22.0f %20.2f %18.3f" % (row["document"], row["parser"], row["mb_per_s"],
                                                         row["instructions_per_element"],
                                                         row["allocations_per_element"], row["ratio"]))


if __name__ == "__main__":
    main()
