"""The table as a picture: for each row, easproxyd and its peers on a line, by how many times what the best peer takes. The
scale is logarithmic: a half and twice are as far from 1."""
import math
import statistics
from xml.sax.saxutils import escape

from table import OURS

LEFT, RIGHT, TOP, LINE, BOTTOM = 570, 30, 74, 24, 40
WIDTH = 1240
# Told apart by people who see colours differently, and by shape.
MARKS = {OURS: ("#0b6e4f", "circle"), "nginx": ("#1f6feb", "square"), "HAProxy": ("#b35900", "diamond"),
         "Apache": ("#8a1c7c", "triangle")}
TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def mark(shape, colour, x, y, size=5.5):
    if shape == "circle":
        return '<circle cx="%.1f" cy="%.1f" r="%.1f" fill="%s"/>' % (x, y, size, colour)
    points = {"square": [(-1, -1), (1, -1), (1, 1), (-1, 1)], "diamond": [(0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)],
              "triangle": [(0, -1.2), (1.2, 1), (-1.2, 1)]}[shape]
    where = " ".join("%.1f,%.1f" % (x + dx * (size - 1), y + dy * (size - 1)) for dx, dy in points)
    return '<polygon points="%s" fill="#fff" stroke="%s" stroke-width="1.8"/>' % (where, colour)


def words(x, y, content, anchor="start", size=12, colour="#222", weight="normal"):
    return '<text x="%.1f" y="%.1f" font-size="%d" text-anchor="%s" fill="%s" font-weight="%s">%s</text>' % (
        x, y, size, anchor, colour, weight, escape(content))


def compared(row):
    """{who: times the best peer}; empty where there is nothing to compare, or more is better."""
    best = row.best_peer()
    if best is None or OURS not in row.values or row.more_is_better:
        return {}
    base = statistics.median(row.values[best])
    ratios = {who: statistics.median(v) / base for who, v in row.values.items() if base > 0 and who in MARKS}
    return {who: ratio for who, ratio in ratios.items() if ratio > 0}


def aim(row):
    """The row's target by the best peer; None where there is none to draw."""
    if row.target is None or row.target.at_least:
        return None
    base = statistics.median(row.values[row.best_peer()]) if row.target.is_absolute else 1.0
    return row.target.limit / base


def svg(rows, heading):
    shown = [(row, compared(row)) for row in rows]
    shown = [(row, ratios) for row, ratios in shown if ratios]
    everything = [ratio for _, ratios in shown for ratio in ratios.values()] + [1.0]
    targets = [aim(row) for row, _ in shown if aim(row) is not None and aim(row) < 10]
    first = max([t for t in TICKS if t <= min(everything + targets)] or [TICKS[0]])
    last = min([t for t in TICKS if t >= max(everything)] or [TICKS[-1]])
    last = max(last, first * 2)
    height = TOP + LINE * (len(shown) + len({row.group for row, _ in shown})) + BOTTOM

    def across(ratio):
        share = math.log(min(max(ratio, first), last) / first) / math.log(last / first)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" '
           'font-family="DejaVu Sans, Arial, sans-serif">' % (WIDTH, height, WIDTH, height),
           '<rect width="100%" height="100%" fill="#fff"/>', words(12, 24, heading, size=15, weight="bold")]
    at = 12
    for who, (colour, shape) in MARKS.items():
        out += [mark(shape, colour, at + 6, 44), words(at + 18, 48, who)]
        at += 110
    out += ['<line x1="%d" y1="36" x2="%d" y2="52" stroke="#c1121f" stroke-width="2.5"/>' % (at + 6, at + 6),
            words(at + 16, 48, "target; 1 is the best peer of the row, further left is less")]
    for tick in (t for t in TICKS if first <= t <= last):
        x = across(tick)
        out += ['<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s"/>' % (
            x, TOP - 6, x, height - BOTTOM + 4, "#444" if tick == 1 else "#ddd"),
            words(x, height - BOTTOM + 20, "%g" % tick, "middle", 11, "#444")]
    y, group = TOP, None
    for row, ratios in shown:
        if row.group != group:
            group = row.group
            out.append(words(12, y + 15, group[0].upper() + group[1:], weight="bold"))
            y += LINE
        middle = y + LINE / 2 - 2
        out += [words(24, middle + 4, row.title),
                '<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#eee"/>' % (LEFT, middle, WIDTH - RIGHT, middle)]
        if aim(row) is not None:
            x = across(aim(row))
            out.append('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#c1121f" stroke-width="2.5"/>' % (
                x, middle - 9, x, middle + 9))
        out += [mark(shape, colour, across(ratios[who]), middle)
                for who, (colour, shape) in reversed(list(MARKS.items())) if who in ratios]
        y += LINE
    return "\n".join(out + ["</svg>", ""])
