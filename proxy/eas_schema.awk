# Makes eas_schema_table.c from wbxml/codepages.tsv and proxy/eas_schema.table, given in this order,
# at build time: a state for every place, and for every tag the states that it leads to, by parent.
# A line that cannot be right ends the build.

function fail(why) {
	printf "%s:%d: %s\n", FILENAME, FNR, why > "/dev/stderr"
	failed = 1
	exit 1
}

function version_number(text) {
	if (text == "-")
		return 0
	if (text !~ /^(25|120|121|140|141|160|161)$/)
		fail("the version " text " is none of MS-ASHTTP")
	return text + 0
}

function hex_value(text,    value, i) {
	value = 0
	for (i = 3; i <= length(text); i++)
		value = value * 16 + index("0123456789ABCDEF", toupper(substr(text, i, 1))) - 1
	return value
}

# A new place of requests ("q") or answers ("a").
function state_new(side, name) {
	states++
	side_of[states] = side
	name_of[states] = name
	means[states] = "-"
	holds[states] = "ANY"
	text_max[states] = 0
	bit[states] = -1
	since[states] = 0
	single[states] = counted[states] = 0
	bits[states] = 0
	return states
}

# "prefix:Name" or "Name": its tag; sets `prefix`.
function tag_of(segment,    parts, name) {
	name = segment
	if (split(segment, parts, ":") == 2) {
		prefix = parts[1]
		name = parts[2]
	}
	if (!((prefix, name) in tag_id))
		fail("there is no tag " prefix ":" name)
	return tag_id[prefix, name]
}

function bare_name(segment) {
	sub(/^.*:/, "", segment)
	return segment
}

# A path's first place: the document, a shared place, or anywhere.
function root_of(side, segment) {
	if (segment == "**")
		return side == "q" ? anywhere_q : anywhere_a
	if (segment ~ /^@/) {
		if (!((side, segment) in shared))
			shared[side, segment] = state_new(side, substr(segment, 2))
		return shared[side, segment]
	}
	return 0
}

# The place of a path whose parents are known; makes the last one when `making`.
function walk(side, path, making,    n, segments, i, at, id) {
	n = split(path, segments, "/")
	at = root_of(side, segments[1])
	prefix = ""
	i = at == 0 ? 1 : 2
	if (at == 0)
		at = side == "q" ? document_q : document_a
	for (; i <= n; i++) {
		id = tag_of(segments[i])
		if (i == n && making != "")
			return edge_new(side, at, id, bare_name(segments[i]), making)
		if (!((at, id) in child))
			fail("the place above " segments[i] " in " path " is not in the table yet")
		at = child[at, id]
	}
	return at
}

# What leads from a place to the one below it by this tag: a new one, or a shared one.
function edge_new(side, at, id, name, meaning,    to) {
	if ((at, id) in child)
		fail("the place " name " is there twice")
	if (meaning ~ /^@/)
		to = root_of(side, meaning)
	else
		to = state_new(side, name)
	child[at, id] = to
	edges++
	edge_tag[edges] = id
	edge_parent[edges] = at
	edge_to[edges] = to
	return to
}

function bit_of(parent, state) {
	if (bit[state] < 0) {
		if (bits[parent] == 16)
			fail("more than 16 elements are judged below " name_of[parent])
		bit[state] = bits[parent]++
	}
	return bit[state]
}

function demand_new(parent, kind, mask, from, before, status, text) {
	demands++
	demand_parent[demands] = parent
	demand_row[demands] = sprintf("{%s, 0x%04x, %d, %d, %d, \"%s\"}", kind, mask, from, before, status, text)
}

function place_note(side, path,    state, parent, holding, occurring, from, before, parts) {
	state = walk(side, path, $6)
	if ($6 ~ /^@/) {
		if ($4 != "*")
			fail("a shared place may occur any number of times")
		return
	}
	means[state] = $6
	split($3, parts, ":")
	holding = parts[1]
	if (holding !~ /^(elements|text|number|any)$/)
		fail("an element cannot hold " holding)
	holds[state] = toupper(holding)
	text_max[state] = parts[2] + 0
	since[state] = version_number($5)
	if (side == "a")
		return
	parent = edge_parent[edges]
	occurring = $4
	counted[state] = sub(/#$/, "", occurring)
	from = before = 0
	if (split(occurring, parts, "@") == 2)
		from = version_number(parts[2])
	else if (split(occurring, parts, "<") == 2)
		before = version_number(parts[2])
	if (parts[1] !~ /^[1?+*]$/)
		fail("an element cannot occur " occurring)
	if (parent == document_q || parts[1] == "*")
		return
	bit_of(parent, state)
	single[state] = parts[1] != "+"
	if (parts[1] != "?")
		demand_new(parent, "EAS_DEMAND_ALL", 2 ^ bit[state], from, before, 0, name_of[parent] " without " name_of[state])
}

# Every path that {A|B} stands for.
function expand(path, from,    count, i, open, close_at, names, n, k, out) {
	count = 1
	found[1] = path
	for (i = 1; i <= count; ) {
		open = index(found[i], "{")
		if (open == 0) {
			i++
			continue
		}
		close_at = index(found[i], "}")
		n = split(substr(found[i], open + 1, close_at - open - 1), names, "|")
		path = found[i]
		for (k = 1; k <= n; k++) {
			out = substr(path, 1, open - 1) names[k] substr(path, close_at + 1)
			if (k == 1)
				found[i] = out
			else
				found[++count] = out
		}
	}
	return count
}

function rule_note(    parent, n, names, i, mask, text, id, joint) {
	parent = walk("q", $2, "")
	n = split($3, names, ",")
	mask = 0
	joint = $1 == "not-both" ? " together with " : ", "
	text = $1 == "not-both" ? "" : name_of[parent] " without one of "
	split($2, parts_of_path, "/")
	for (i = 1; i <= n; i++) {
		prefix = ""
		if (names[i] !~ /:/)
			prefix = prefix_at(parent)
		id = tag_of(names[i])
		if (!((parent, id) in child))
			fail(names[i] " is not in the table below " name_of[parent])
		mask += 2 ^ bit_of(parent, child[parent, id])
		text = text (i > 1 ? joint : "") bare_name(names[i])
	}
	demand_new(parent, $1 == "not-both" ? "EAS_DEMAND_NOT_BOTH" : "EAS_DEMAND_ANY", mask, version_number($4), 0, $5, text)
}

# The prefix that counts at the end of a rule's path.
function prefix_at(parent,    n, segments, i, parts, last) {
	n = split($2, segments, "/")
	for (i = 1; i <= n; i++)
		if (split(segments[i], parts, ":") == 2)
			last = parts[1]
	return last
}

BEGIN {
	states = edges = demands = 0
	document_q = state_new("q", "document")
	document_a = state_new("a", "document")
	anywhere_q = state_new("q", "anywhere")
	anywhere_a = state_new("a", "anywhere")
}

# wbxml/codepages.tsv
FILENAME ~ /\.tsv$/ {
	if (FNR > 1) {
		n = split($0, column, "\t")
		tag_id[column[3], column[5]] = column[1] * 64 + hex_value(column[4])
	}
	next
}

/^#/ || NF == 0 { next }

$1 == "not-both" || $1 == "one-of" { rule_note(); next }

{
	if (NF != 6 || $1 !~ /^[qab]$/)
		fail("expected side, path, holds, occurs, since, means")
	n = expand($2)
	for (i = 1; i <= n; i++)
		place[i] = found[i]
	for (i = 1; i <= n; i++) {
		if ($1 != "a")
			place_note("q", place[i])
		if ($1 != "q")
			place_note("a", place[i])
	}
}

END {
	if (failed)
		exit 1
	print "/* Made from proxy/eas_schema.table by proxy/eas_schema.awk; see proxy/eas_schema.h. */"
	print "#include \"proxy/eas_schema.h\"\n"
	print_demands()
	print_states()
	print_edges()
}

function print_demands(    s, d, count) {
	print "const struct eas_demand eas_demands[] = {"
	count = 0
	for (s = 1; s <= states; s++) {
		first_demand[s] = count
		for (d = 1; d <= demands; d++)
			if (demand_parent[d] == s) {
				print "\t" demand_row[d] ","
				count++
			}
		if (first_demand[s] > 255)
			fail("more demands than struct eas_place can name")
		demand_count[s] = count - first_demand[s]
	}
	print "};\n"
}

function print_states(    s) {
	print "const struct eas_place eas_places[] = {\n\t{.bit = EAS_PLACE_NO_BIT},"
	for (s = 1; s <= states; s++)
		printf "\t{EAS_WHAT_%s, EAS_HOLDS_%s, %d, %d, %d, %s, %s, %d, %d}, /* %s */\n",
			means[s] == "-" ? "NOTHING" : toupper(means[s]), holds[s], text_max[s], since[s],
			bit[s] < 0 ? 255 : bit[s], single[s] ? "true" : "false", counted[s] ? "true" : "false",
			demand_count[s], first_demand[s], name_of[s]
	print "};\n"
}

# For each tag a list, which ends with the place that it has anywhere, or none.
function print_edges(    side, s, id, e, count, lists, anywhere, row) {
	print "const struct eas_edge eas_edges[] = {\n\t{0, 0},"
	count = 1
	for (s = 0; s < 2; s++) {
		side = s == 0 ? "q" : "a"
		for (id = 0; id < 26 * 64; id++) {
			lists = 0
			anywhere = 0
			for (e = 1; e <= edges; e++) {
				if (edge_tag[e] != id || side_of[edge_parent[e]] != side)
					continue
				if (lists++ == 0)
					first_edge[s, id] = count
				if (edge_parent[e] == anywhere_q || edge_parent[e] == anywhere_a) {
					anywhere = edge_to[e]
					continue
				}
				printf "\t{%d, %d},\n", edge_parent[e], edge_to[e]
				count++
			}
			if (lists > 0) {
				printf "\t{0, %d},\n", anywhere
				count++
			}
		}
	}
	print "};\n\nconst uint16_t eas_edge_first[2][WBXML_PAGE_COUNT][64] = {"
	for (s = 0; s < 2; s++) {
		print "\t{"
		for (id = 0; id < 26 * 64; id++) {
			row = first_edge[s, id]
			printf "%s%d,%s", id % 64 == 0 ? "\t\t{" : "", row, id % 64 == 63 ? "},\n" : " "
		}
		print "\t},"
	}
	print "};"
}
