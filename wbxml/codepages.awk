# Makes codepages_tags.h (-v make=tags) or codepages_table.c (-v make=table) from codepages.tsv, at
# build time. The table must be sorted by page and token; a line that cannot be right ends the build.

function fail(why) {
	printf "%s:%d: %s\n", FILENAME, FNR, why > "/dev/stderr"
	failed = 1
	exit 1
}

function hex_value(text,    value, i, digit) {
	value = 0
	for (i = 3; i <= length(text); i++) {
		digit = index("0123456789ABCDEF", toupper(substr(text, i, 1)))
		if (digit == 0)
			fail("the token " text " is not a hexadecimal number")
		value = value * 16 + digit - 1
	}
	return value
}

function constant_name(space, tag,    name) {
	name = toupper(space "_" tag)
	gsub(/[^A-Z0-9_]/, "_", name)
	return "WBXML_" name
}

BEGIN { FS = "\t"; tag_count = 0; page_count = 0; last_id = -1 }

FNR == 1 { next }

{
	if (NF < 7 || $1 !~ /^[0-9]+$/ || $1 > 25 || $4 !~ /^0x[0-9A-Fa-f][0-9A-Fa-f]$/ || $5 !~ /^[A-Za-z0-9]+$/)
		fail("expected page, namespace, prefix, token, tag, version, content")
	token = hex_value($4)
	id = $1 * 256 + token
	if (token < 5 || token > 63)
		fail("the token " $4 " is not one of a tag")
	if (id <= last_id)
		fail("page " $1 " token " $4 " is out of order or twice here")
	if (($1 in space_of) && space_of[$1] != $2)
		fail("page " $1 " has two namespaces")
	last_id = id
	space_of[$1] = $2
	version = $6
	gsub(/\./, "", version)
	name = constant_name($2, $5)
	if (name in seen)
		fail(name " is there twice")
	seen[name] = 1
	ids[tag_count] = id
	names[tag_count] = $5
	constants[tag_count] = name
	versions[tag_count] = version
	opaques[tag_count] = $7 == "opaque" ? "true" : "false"
	row_of[$1, token] = tag_count + 1
	tag_count++
}

END {
	if (failed)
		exit 1
	if (make == "tags")
		print_tags()
	else
		print_table()
}

function print_tags(    i) {
	print "/* Made from wbxml/codepages.tsv by wbxml/codepages.awk; see wbxml/codepages.h. */"
	print "#ifndef WBXML_CODEPAGES_TAGS_H\n#define WBXML_CODEPAGES_TAGS_H\n"
	print "/* page << 8 | token */\nenum wbxml_tag_id {"
	for (i = 0; i < tag_count; i++)
		printf "\t%s = 0x%04X,\n", constants[i], ids[i]
	print "};\n\n#endif"
}

function print_table(    i, page, token) {
	print "/* Made from wbxml/codepages.tsv by wbxml/codepages.awk; see wbxml/codepages_table.h. */"
	print "#include \"wbxml/codepages_table.h\"\n"
	print "const char *const wbxml_page_names[WBXML_PAGE_COUNT] = {"
	for (page = 0; page < 26; page++) {
		if (!(page in space_of)) {
			print "codepages.tsv: page " page " is missing" > "/dev/stderr"
			exit 1
		}
		printf "\t\"%s\",\n", space_of[page]
	}
	print "};\n\n/* The first row is none: index 0 means that there is no such tag. */"
	print "const struct wbxml_tag wbxml_tags[] = {\n\t{0, 0, false, NULL},"
	for (i = 0; i < tag_count; i++)
		printf "\t{0x%04X, %d, %s, \"%s\"},\n", ids[i], versions[i], opaques[i], names[i]
	print "};\n\nconst uint16_t wbxml_tag_index[WBXML_PAGE_COUNT][WBXML_PAGE_TOKENS] = {"
	for (page = 0; page < 26; page++) {
		printf "\t{"
		for (token = 0; token < 64; token++)
			printf "%d,%s", row_of[page, token], token % 16 == 15 ? "\n\t " : " "
		print "},"
	}
	print "};"
}
