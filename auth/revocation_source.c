#include "auth/revocation_source.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/revocation_limit.h"
#include "auth/revocation_state.h"
#include "config/moment.h"

/* Deltas are small; what stands there and is larger is not one that we wrote. */
enum { DELTA_SIZE_MAX = 1 << 30 };

void revocation_source_init(struct revocation_source *source, const struct trust_store *store,
	int authority, int place, int directory)
{
	*source = (struct revocation_source){
		.signers = {.store = store, .authority = authority},
		.authority = &store->authorities[authority],
		.place = place,
		.location = &store->authorities[authority].crls[place],
		.directory = directory,
	};
}

void revocation_source_clear(struct revocation_source *source)
{
	revocation_index_close(source->base_index);
	free((void *)source->delta.data);
	source->base_index = NULL;
	source->delta = span_of(NULL, 0);
}

static bool has_delta_location(const struct revocation_source *source)
{
	return source->location->delta_url[0] != '\0';
}

static bool is_past(const struct revocation_source *source, int64_t next_update, int64_t now)
{
	return now - next_update > (int64_t)source->authority->grace_s;
}

bool revocation_source_is_late(const struct revocation_source *source, int64_t now)
{
	return source->is_in_use && now > source->facts.next_update;
}

struct revocation_times revocation_source_times(
	const struct revocation_source *source, bool is_delta)
{
	const struct revocation_times base = {.this_update = source->base.this_update,
		.next_update = source->base.next_update,
		.next_publish = source->base.next_publish};

	return is_delta ? source->delta_times : base;
}

/* Seals a memory file and checks it whole, once for all who will map it. */
static int seal(const struct revocation_source *source, int fd, struct error *err)
{
	struct revocation_index *index;
	int result;

	if (revocation_state_seal(fd, err) == -1)
		return -1;
	index = revocation_index_open(fd, source->authority->issuer, err);
	if (index == NULL)
		return -1;
	result = revocation_index_check(index, source->authority->issuer, err);
	revocation_index_close(index);
	return result;
}

static int compile(const struct revocation_source *source, struct span crl, int64_t now,
	struct revocation_facts *facts, struct error *err)
{
	int fd = revocation_state_create(err);

	if (fd == -1)
		return -1;
	if (revocation_compile_last(crl, &source->signers, source->has_base ? &source->base : NULL,
		    now, fd, facts, err) == 0 &&
		seal(source, fd, err) == 0)
		return fd;
	close(fd);
	return -1;
}

static int merge(const struct revocation_source *source, struct span delta, int64_t now,
	struct revocation_facts *facts, struct error *err)
{
	int fd = revocation_state_create(err);

	if (fd == -1)
		return -1;
	if (revocation_merge(source->base_index, delta, &source->signers,
		    source->has_merged ? &source->merged : NULL, now, fd, facts, err) == 0 &&
		seal(source, fd, err) == 0)
		return fd;
	close(fd);
	return -1;
}

static void use(struct revocation_source *source, const struct revocation_facts *facts)
{
	source->is_in_use = true;
	source->facts = *facts;
	if (!facts->has_delta)
		return;
	source->has_merged = true;
	source->merged = *facts;
}

/* A base that the delta at hand is too old for: in use until that delta would have ended. */
static int limit(
	const struct revocation_source *source, struct revocation_facts *facts, struct error *err)
{
	int fd;

	if (source->delta.len == 0 || source->base.this_update < source->delta_times.this_update)
		return error_set(err, "the base CRL waits for its delta CRL");
	fd = revocation_state_create(err);
	if (fd == -1)
		return -1;
	if (revocation_limit(source->base_index, source->delta_times.next_update, fd, facts, err) ==
			0 &&
		seal(source, fd, err) == 0)
		return fd;
	close(fd);
	return -1;
}

/* The base is new: with the delta at hand, if that fits. fd is the base's own index, and the
 * callee's. */
static enum revocation_take pair_with_delta(
	struct revocation_source *source, int fd, int64_t now, int *index)
{
	struct revocation_facts facts = {.has_delta = false};
	struct error err;

	if (!has_delta_location(source)) {
		use(source, &source->base);
		*index = fd;
		return REVOCATION_TAKE_NEW;
	}
	close(fd);
	*index = source->delta.len == 0 ? -1 : merge(source, source->delta, now, &facts, &err);
	source->lacks_delta = *index == -1;
	if (*index == -1)
		*index = limit(source, &facts, &err);
	if (*index == -1)
		return REVOCATION_TAKE_HELD;
	use(source, &facts);
	return REVOCATION_TAKE_NEW;
}

static void keep(const struct revocation_source *source, const char *url, const char *kind, int fd,
	struct span bytes, struct error *note)
{
	char name[REVOCATION_STATE_NAME_SIZE];
	struct error err;
	int result;

	if (source->directory == -1)
		return;
	revocation_state_name(source->authority, url, kind, name);
	result = fd != -1 ? revocation_state_save(source->directory, name, fd, &err)
			  : revocation_state_save_bytes(source->directory, name, bytes, &err);
	if (result == -1)
		error_set(note, "keeping it for the next start: %s", err.text);
}

/* The index of a base that held is what later deltas are merged into. Takes fd over. */
static int set_base(struct revocation_source *source, int fd, const struct revocation_facts *facts,
	struct error *err)
{
	struct revocation_index *index = NULL;

	if (revocation_state_sum(fd, source->base_sum, err) == -1)
		return -1;
	if (has_delta_location(source)) {
		index = revocation_index_open(fd, source->authority->issuer, err);
		if (index == NULL)
			return -1;
	}
	revocation_index_close(source->base_index);
	source->base_index = index;
	source->has_base = true;
	source->base = *facts;
	source->lacks_base = false;
	return 0;
}

static int past_error(int64_t next_update, const char *what, struct error *err)
{
	char when[MOMENT_TEXT_SIZE];

	moment_write(next_update, when);
	return error_set(err, "the %s is past its nextUpdate, %s", what, when);
}

enum revocation_take revocation_source_take_base(struct revocation_source *source, struct span crl,
	int64_t now, int *index, struct error *note, struct error *err)
{
	uint8_t sum[REVOCATION_FILE_CHECKSUM_SIZE];
	struct revocation_facts facts;
	int fd = compile(source, crl, now, &facts, err);

	note->text[0] = '\0';
	if (fd == -1)
		return REVOCATION_TAKE_FAILED;
	if (is_past(source, facts.next_update, now)) {
		past_error(facts.next_update, "CRL", err);
		goto fail;
	}
	if (revocation_state_sum(fd, sum, err) == -1)
		goto fail;
	if (source->has_base && memcmp(sum, source->base_sum, sizeof(sum)) == 0 &&
		(source->is_in_use || source->base_index != NULL)) {
		close(fd);
		return REVOCATION_TAKE_UNCHANGED;
	}
	if (set_base(source, fd, &facts, err) == -1)
		goto fail;
	keep(source, source->location->url, "base", fd, span_of(NULL, 0), note);
	return pair_with_delta(source, fd, now, index);
fail:
	close(fd);
	return REVOCATION_TAKE_FAILED;
}

static int set_delta(struct revocation_source *source, struct span crl,
	const struct revocation_peek *peek, struct error *err)
{
	uint8_t *copy = malloc(crl.len);

	if (copy == NULL)
		return error_set(err, "out of memory");
	memcpy(copy, crl.data, crl.len);
	free((void *)source->delta.data);
	source->delta = span_of(copy, crl.len);
	source->delta_times = (struct revocation_times){.this_update = peek->this_update,
		.next_update = peek->next_update,
		.next_publish = peek->next_publish};
	return 0;
}

static bool is_same(struct span a, struct span b)
{
	return a.len == b.len && a.len > 0 && memcmp(a.data, b.data, a.len) == 0;
}

enum revocation_take revocation_source_take_delta(struct revocation_source *source, struct span crl,
	int64_t now, int *index, struct error *note, struct error *err)
{
	struct revocation_peek peek;
	struct revocation_facts facts;
	int fd;

	note->text[0] = '\0';
	if (source->base_index == NULL) {
		error_set(err, "its base CRL has not been fetched yet");
		return REVOCATION_TAKE_FAILED;
	}
	if (!revocation_crl_peek(crl, &peek)) {
		error_set(err, "not a CRL");
		return REVOCATION_TAKE_FAILED;
	}
	if (is_past(source, peek.next_update, now)) {
		past_error(peek.next_update, "delta CRL", err);
		return REVOCATION_TAKE_FAILED;
	}
	if (is_same(crl, source->delta) && !source->lacks_delta && source->is_in_use)
		return REVOCATION_TAKE_UNCHANGED;
	source->lacks_base = peek.is_delta && memcmp(peek.base_number, source->base.crl_number,
						      sizeof(peek.base_number)) > 0;
	fd = merge(source, crl, now, &facts, err);
	if (fd == -1)
		return REVOCATION_TAKE_FAILED;
	if (set_delta(source, crl, &peek, err) == -1) {
		close(fd);
		return REVOCATION_TAKE_FAILED;
	}
	source->lacks_delta = false;
	use(source, &facts);
	keep(source, source->location->delta_url, "delta", -1, crl, note);
	*index = fd;
	return REVOCATION_TAKE_NEW;
}

/* Only an index of this very authority will do: files may have been left by another store. */
static int check_loaded(const struct revocation_source *source, int fd,
	struct revocation_facts *facts, struct error *err)
{
	struct revocation_index *index;
	uint8_t key[32];
	int result = -1;

	if (revocation_authority_key(source->authority->certificate, key, err) == -1)
		return -1;
	index = revocation_index_open(fd, source->authority->issuer, err);
	if (index == NULL)
		return -1;
	*facts = *revocation_index_facts(index);
	if (memcmp(key, facts->authority_key, sizeof(key)) != 0 || facts->has_delta)
		error_set(err, "the revocation index of the last run is another authority's");
	else
		result = revocation_index_check(index, source->authority->issuer, err);
	revocation_index_close(index);
	return result;
}

/* The delta is verified anew; one that does not fit any more is as good as none. */
static void load_delta(struct revocation_source *source)
{
	char name[REVOCATION_STATE_NAME_SIZE];
	struct revocation_peek peek;
	struct error err;
	uint8_t *data;
	size_t len;

	revocation_state_name(source->authority, source->location->delta_url, "delta", name);
	if (revocation_state_load_bytes(
		    source->directory, name, DELTA_SIZE_MAX, &data, &len, &err) == -1)
		return;
	if (revocation_crl_peek(span_of(data, len), &peek))
		set_delta(source, span_of(data, len), &peek, &err);
	free(data);
}

enum revocation_take revocation_source_load(
	struct revocation_source *source, int64_t now, int *index, struct error *err)
{
	char name[REVOCATION_STATE_NAME_SIZE];
	struct revocation_facts facts;
	enum revocation_take take;
	int fd;

	err->text[0] = '\0';
	if (source->directory == -1)
		return REVOCATION_TAKE_FAILED;
	revocation_state_name(source->authority, source->location->url, "base", name);
	fd = revocation_state_load(source->directory, name, REVOCATION_FILE_SIZE_MAX, err);
	if (fd == -1)
		return REVOCATION_TAKE_FAILED;
	if (check_loaded(source, fd, &facts, err) == -1 ||
		set_base(source, fd, &facts, err) == -1) {
		close(fd);
		return REVOCATION_TAKE_FAILED;
	}
	/* One that is not current still tells what is too old. */
	if (has_delta_location(source))
		load_delta(source);
	take = pair_with_delta(source, fd, now, index);
	if (take != REVOCATION_TAKE_NEW || !is_past(source, source->facts.next_update, now))
		return take;
	close(*index);
	*index = -1;
	source->is_in_use = false;
	revocation_index_close(source->base_index);
	source->base_index = NULL;
	return REVOCATION_TAKE_HELD;
}
