#include "auth/revocation_index.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/revocation_file.h"
#include "config/whole.h"

/* Unmapped at a time; less than 0.1 ms. A multiple of the page size of every machine. */
enum { CLOSE_PART = 1 << 18 };

enum { STEPS_MAX = 2 }; /* a serial that is a fence itself may lie on either side of it */

struct revocation_index {
	void *map;
	size_t map_size;
	struct revocation_view view;
	struct revocation_section only; /* where there is no other, decoded once for all look-ups */
};

static bool is_sealed(int fd)
{
	const int wanted = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
	int seals = fcntl(fd, F_GET_SEALS);

	return seals != -1 && (seals & wanted) == wanted;
}

/* Kernels before 6.7 allow no shared mapping of a file sealed against writing; the pages of a
 * private one that is never written are shared just the same. */
static int index_map(struct revocation_index *index, int fd)
{
	index->map = mmap(NULL, index->map_size, PROT_READ, MAP_PRIVATE, fd, 0);
	return index->map == MAP_FAILED ? -1 : 0;
}

static int index_copy(struct revocation_index *index, int fd)
{
	ssize_t got;

	index->map = mmap(
		NULL, index->map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (index->map == MAP_FAILED)
		return -1;
	got = whole_read_at(fd, index->map, index->map_size, 0);
	if (got == -1)
		return -1;
	if ((size_t)got < index->map_size) {
		errno = EIO; /* shorter than fstat said */
		return -1;
	}
	return mprotect(index->map, index->map_size, PROT_READ);
}

/* Maps or copies, and looks at what every look-up relies on. */
static int index_read(struct revocation_index *index, int fd, bool is_mapped, const char *issuer,
	struct error *err)
{
	if ((is_mapped ? index_map(index, fd) : index_copy(index, fd)) == -1)
		return error_sys(err, "reading the revocation index of %s", issuer);
	if (revocation_view_open(&index->view, index->map, index->map_size) == -1)
		return error_set(err,
			"reading the revocation index of %s: not a whole index of this version",
			issuer);
	if (index->view.section_count == 1)
		index->only = revocation_view_section(&index->view, 0);
	return is_mapped ? 0 : revocation_index_check(index, issuer, err);
}

struct revocation_index *revocation_index_open(int fd, const char *issuer, struct error *err)
{
	struct revocation_index *index;
	struct stat st;

	if (fstat(fd, &st) == -1) {
		error_sys(err, "reading the revocation index of %s", issuer);
		return NULL;
	}
	if (!S_ISREG(st.st_mode) || st.st_size < REVOCATION_FILE_HEADER_SIZE ||
		(uint64_t)st.st_size > REVOCATION_FILE_SIZE_MAX) {
		error_set(err, "reading the revocation index of %s: not an index file", issuer);
		return NULL;
	}
	index = calloc(1, sizeof(*index));
	if (index == NULL) {
		error_set(err, "reading the revocation index of %s: out of memory", issuer);
		return NULL;
	}
	index->map = MAP_FAILED;
	index->map_size = (size_t)st.st_size;
	if (index_read(index, fd, is_sealed(fd), issuer, err) == -1) {
		revocation_index_close(index);
		return NULL;
	}
	return index;
}

int revocation_index_check(
	const struct revocation_index *index, const char *issuer, struct error *err)
{
	const char *fault = revocation_view_fault(&index->view);

	if (fault != NULL)
		return error_set(err, "reading the revocation index of %s: %s", issuer, fault);
	return 0;
}

void revocation_index_close(struct revocation_index *index)
{
	if (index == NULL)
		return;
	if (index->map != MAP_FAILED)
		munmap(index->map, index->map_size);
	free(index);
}

bool revocation_index_close_part(struct revocation_index *index)
{
	if (index->map_size <= CLOSE_PART) {
		revocation_index_close(index);
		return false;
	}
	/* Not the last part, which need not end where a page does. */
	munmap(index->map, CLOSE_PART);
	index->map = (uint8_t *)index->map + CLOSE_PART;
	index->map_size -= CLOSE_PART;
	return true;
}

const struct revocation_facts *revocation_index_facts(const struct revocation_index *index)
{
	return &index->view.facts;
}

const struct revocation_view *revocation_index_view(const struct revocation_index *index)
{
	return &index->view;
}

static bool section_find(const struct revocation_index *index, const struct name_key *issuer,
	struct revocation_section *section)
{
	const struct revocation_view *view = &index->view;
	size_t low = 0;
	size_t high = view->section_count;

	if (high == 1) {
		*section = index->only;
		return name_key_equal(issuer, &section->issuer);
	}
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = memcmp(issuer->octets,
			view->sections + middle * REVOCATION_FILE_SECTION_SIZE,
			sizeof(issuer->octets));

		if (order == 0) {
			*section = revocation_view_section(view, middle);
			return true;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}

static uint64_t fence_at(const uint8_t *fences, size_t i)
{
	uint64_t word;

	memcpy(&word, fences + i * REVOCATION_FILE_FENCE_SIZE, sizeof(word));
	return be64toh(word);
}

/* How many of the fences from low to high lie before word, low included. Written so that the processor
 * need not guess. */
static size_t fences_bisect(const uint8_t *fences, size_t low, size_t high, uint64_t word)
{
	size_t count = high - low;

	while (count > 1) {
		size_t half = count / 2;

		low += fence_at(fences, low + half - 1) < word ? half : 0;
		count -= half;
	}
	return low + (count == 1 && fence_at(fences, low) < word);
}

/* Where the fence would be if all were the same distance apart, seen from fence number from. */
static size_t fence_guess(
	const uint8_t *fences, size_t count, size_t from, uint64_t word, double fences_per_unit)
{
	uint64_t at = fence_at(fences, from);
	double distance =
		(word >= at ? (double)(word - at) : -(double)(at - word)) * fences_per_unit;
	double guess = (double)from + distance;

	if (!(guess > 0))
		return 0;
	return guess < (double)(count - 1) ? (size_t)guess : count - 1;
}

/* How many of all fences lie before word. Serials are random numbers as a rule, so that two guesses
 * come close; from there the range grows until it holds the place. However the serials lie, that is no
 * more than three times the steps of a binary search. */
static size_t fences_before(const uint8_t *fences, size_t count, uint64_t word)
{
	uint64_t first = fence_at(fences, 0);
	uint64_t last = fence_at(fences, count - 1);
	size_t width = 16;
	double scale;
	size_t guess;
	size_t low;
	size_t high;

	if (word <= first)
		return 0;
	if (word > last)
		return count;
	scale = (double)(count - 1) / (double)(last - first);
	guess = fence_guess(fences, count, 0, word, scale);
	guess = fence_guess(fences, count, guess, word, scale);
	low = high = guess;
	if (fence_at(fences, guess) < word) {
		while (fence_at(fences, high) < word) {
			low = high;
			high = count - 1 - high > width ? high + width : count - 1;
			width *= 2;
		}
	} else {
		while (fence_at(fences, low) >= word) {
			high = low;
			low = low > width ? low - width : 0;
			width *= 2;
		}
	}
	return fences_bisect(fences, low, high, word);
}

/* The entries of a step lie in several lines of memory: all are asked for at once. */
static void prefetch(const uint8_t *from, const uint8_t *to)
{
	enum { LINE = 64 };

	for (; from < to; from += LINE)
		__builtin_prefetch(from);
}

/* The entries of a section, between which the serial must be if it is there at all. */
struct range {
	size_t low, high;
};

/* The fences narrow the search to a step; where many serials are alike in all that a fence holds, to
 * the steps that begin so. */
static struct range entry_range(
	const struct revocation_view *view, const struct revocation_section *section, uint64_t word)
{
	const uint8_t *fences = view->fences + section->first_fence * REVOCATION_FILE_FENCE_SIZE;
	size_t count = (section->count + REVOCATION_FILE_STEP - 1) / REVOCATION_FILE_STEP;
	size_t fence = fences_before(fences, count, word);
	struct range range;

	range.low = fence == 0 ? 0 : (fence - 1) * REVOCATION_FILE_STEP;
	/* Nearly always no more than one fence has these octets. */
	if (fence < count && fence_at(fences, fence) == word)
		fence++;
	if (fence < count && fence_at(fences, fence) == word)
		fence = word == UINT64_MAX ? count : fences_bisect(fences, fence, count, word + 1);
	range.high = fence * REVOCATION_FILE_STEP;
	if (range.high > section->count)
		range.high = section->count;
	return range;
}

static const uint8_t *entry_at(
	const struct revocation_view *view, const struct revocation_section *section, size_t i)
{
	return revocation_view_entry(view, section->first + i);
}

/* By all of the serial, for a range of any size. */
static size_t entry_bisect(const struct revocation_view *view,
	const struct revocation_section *section, struct range range, const uint8_t *serial)
{
	while (range.low < range.high) {
		size_t middle = range.low + (range.high - range.low) / 2;
		int order = memcmp(serial, entry_at(view, section, middle), view->width);

		if (order == 0)
			return middle;
		if (order < 0)
			range.high = middle;
		else
			range.low = middle + 1;
	}
	return section->count;
}

/* By eight octets, within a step or two, and again without a guess for the processor; then by all of it
 * those that are alike in these. */
static size_t step_bisect(const struct revocation_view *view,
	const struct revocation_section *section, struct range range, const uint8_t *serial,
	uint64_t word)
{
	const unsigned int at = section->common;
	size_t low = range.low;
	size_t count = range.high - range.low;

	while (count > 0) {
		size_t half = (count + 1) / 2;
		const uint8_t *entry = entry_at(view, section, low + half - 1);

		low += revocation_serial_word(entry, view->width, at) < word ? half : 0;
		count -= half;
	}
	for (; low < range.high; low++) {
		const uint8_t *entry = entry_at(view, section, low);

		if (revocation_serial_word(entry, view->width, at) != word)
			break;
		if (memcmp(serial, entry, view->width) == 0)
			return low;
	}
	return section->count;
}

/* The number of the entry within the section, or its count. */
static size_t entry_find(const struct revocation_view *view,
	const struct revocation_section *section, const uint8_t *serial)
{
	uint64_t word = revocation_serial_word(serial, view->width, section->common);
	struct range range = entry_range(view, section, word);

	if (range.low >= range.high)
		return section->count;
	if (range.high - range.low > STEPS_MAX * (size_t)REVOCATION_FILE_STEP)
		return entry_bisect(view, section, range, serial);
	prefetch(entry_at(view, section, range.low), entry_at(view, section, range.high));
	return step_bisect(view, section, range, serial, word);
}

bool revocation_index_find(const struct revocation_index *index, const struct name_key *issuer,
	const struct serial *serial, struct revocation_finding *finding)
{
	const struct revocation_view *view = &index->view;
	const uint8_t *octets = serial->octets + sizeof(serial->octets) - view->width;
	struct revocation_section section;
	struct revocation_meta meta;
	size_t entry;

	if (!section_find(index, issuer != NULL ? issuer : &view->facts.scope.issuer, &section))
		return false;
	if (revocation_serial_width(serial) > view->width ||
		memcmp(octets, revocation_view_entry(view, section.first), section.common) != 0)
		return false;
	entry = entry_find(view, &section, octets);
	if (entry == section.count)
		return false;
	if (finding != NULL) {
		meta = revocation_view_meta(view, section.first + entry);
		*finding = (struct revocation_finding){.reason = revocation_meta_reason(&meta),
			.date = revocation_meta_date(&meta),
			.invalidity_date = revocation_view_invalidity(view, section.first + entry)};
	}
	return true;
}
