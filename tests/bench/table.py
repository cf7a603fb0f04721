"""The rows of the bench: what was measured of whom, in which rounds, and how it compares."""
import json
import statistics

OURS = "easproxyd"


def low(values):
    return min(values)


def spread(values):
    """How far apart the rounds are, as a share of their median."""
    middle = statistics.median(values)
    return (max(values) - min(values)) / middle if middle else 0.0


class Target:
    """What was aimed at: a ratio to the best peer, or (is_absolute) a figure in the row's unit."""

    def __init__(self, limit, is_absolute=False, at_least=False, text=None):
        self.limit, self.is_absolute, self.at_least = limit, is_absolute, at_least
        self.text = text or "%s %s%s" % (">=" if at_least else "<=", number(limit), "" if is_absolute else " x")

    def verdict(self, low_value, median_value):
        """By the lowest round and by the median of them: they may disagree on a busy machine."""
        holds = [(value >= self.limit) if self.at_least else (value <= self.limit)
                 for value in (low_value, median_value)]
        return "met" if all(holds) else "missed" if not any(holds) else "met in the lowest round"


def number(value):
    """Three digits, without an exponent."""
    if value == 0:
        return "0"
    size = abs(value)
    places = next((places for least, places in ((100, "%.0f"), (10, "%.1f"), (0.1, "%.2f")) if size >= least), "%.3g")
    return places % value


class Row:
    """values: {who: [of each round]}; notes: {who: why there is no figure, or what is to be known of it}."""

    def __init__(self, group, title, unit, values, target=None, notes=None, more_is_better=False):
        self.group, self.title, self.unit, self.target = group, title, unit, target
        self.values = {who: list(rounds) for who, rounds in values.items() if rounds}
        self.notes, self.more_is_better = dict(notes or {}), more_is_better

    def best_peer(self):
        peers = {who: statistics.median(v) for who, v in self.values.items() if who != OURS}
        if not peers:
            return None
        return (max if self.more_is_better else min)(peers, key=peers.get)

    def ratios(self):
        """(lowest by lowest, median by median) to the best peer; None where there is nothing to compare."""
        best, ours = self.best_peer(), self.values.get(OURS)
        if best is None or not ours or min(ours + self.values[best]) <= 0:
            return None
        theirs = self.values[best]
        return low(ours) / low(theirs) if low(theirs) else 0.0, statistics.median(ours) / statistics.median(theirs)

    def verdict(self):
        if self.target is None or OURS not in self.values:
            return None
        if self.target.is_absolute:
            ours = self.values[OURS]
            return self.target.verdict(low(ours), statistics.median(ours))
        ratios = self.ratios()
        return self.target.verdict(*ratios) if ratios else None

    def widest_spread(self):
        """Of easproxyd's rounds and those of the best peer: what the ratio is worth."""
        return max([spread(self.values[who]) for who in (OURS, self.best_peer()) if who in self.values] or [0.0])

    def as_dict(self):
        ratios = self.ratios()
        return {
            "group": self.group, "title": self.title, "unit": self.unit,
            "values": {who: {"rounds": rounds, "lowest": low(rounds), "median": statistics.median(rounds),
                             "spread": spread(rounds)} for who, rounds in self.values.items()},
            "notes": self.notes, "best_peer": self.best_peer(),
            "ratio": {"lowest": ratios[0], "median": ratios[1]} if ratios else None,
            "target": self.target.text if self.target else None, "verdict": self.verdict()}


def cell(row, who):
    if who in row.values:
        rounds = row.values[who]
        if len(rounds) == 1:
            return number(rounds[0])
        return "%s / %s" % (number(low(rounds)), number(statistics.median(rounds)))
    return "n/a" if who in row.notes else "-"


def lines_of(row, columns):
    """The cells of a row: title, each column, ratio, spread, target."""
    ratios = row.ratios()
    compared = "%s / %s" % (number(ratios[0]), number(ratios[1])) if ratios else ""
    if ratios and len(row.values[OURS]) == 1 and len(row.values[row.best_peer()]) == 1:
        compared = number(ratios[1])
    verdict = row.verdict()
    target = "%s %s" % (row.target.text, "" if verdict is None else "(%s)" % verdict) if row.target else ""
    rounds = max([len(v) for v in row.values.values()] or [0])
    wide = "%.0f %%" % (100 * row.widest_spread()) if rounds > 1 else ""
    return ["%s, %s" % (row.title, row.unit)] + [cell(row, who) for who in columns] + [compared, wide, target.strip()]


def grouped(rows):
    groups = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    return groups.items()


def columns_of(rows, order):
    used = {who for row in rows for who in list(row.values) + list(row.notes)}
    return [who for who in order if who in used] + sorted(who for who in used if who not in order)


def notes_of(rows):
    for row in rows:
        for who, note in row.notes.items():
            yield "%s, %s: %s" % (row.title, who, note)


def text(rows, order):
    """For a terminal."""
    out = []
    for group, members in grouped(rows):
        columns = columns_of(members, order)
        table = [[group] + columns + ["ratio", "spread", "target"]] + [lines_of(row, columns) for row in members]
        widths = [max(len(line[at]) for line in table) for at in range(len(table[0]))]
        for line in table:
            cells = [line[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(line[1:-1], widths[1:-1])] + [line[-1]]
            out.append("  ".join(cells).rstrip())
        out += ["  " + note for note in notes_of(members)] + [""]
    return "\n".join(out)


def markdown(rows, order):
    """For docs/performance.md."""
    out = []
    for group, members in grouped(rows):
        columns = columns_of(members, order)
        out.append("### %s\n" % (group[0].upper() + group[1:]))
        out.append("| | " + " | ".join(columns) + " | ratio | spread | target |")
        out.append("|---|" + "---:|" * (len(columns) + 2) + "---|")
        out += ["| " + " | ".join(lines_of(row, columns)) + " |" for row in members]
        notes = list(notes_of(members))
        out += ([""] + ["- " + note for note in notes] if notes else []) + [""]
    made = "\n".join(out)
    for plain, sign in (("<=", "\u2264"), (">=", "\u2265"), (" x (", " \u00d7 ("), (", x |", ", \u00d7 |")):
        made = made.replace(plain, sign)
    return made


def as_json(rows, about):
    return json.dumps({"about": about, "rows": [row.as_dict() for row in rows]}, indent=1)
