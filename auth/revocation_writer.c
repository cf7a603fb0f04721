#include "auth/revocation_writer.h"
#include "auth/sealed_index.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/whole.h"

enum { BUFFER_SIZE = 1 << 16, TABLE_FIRST_SIZE = 4096 };

/* A table that grows in memory until its place in the file is known. */
struct table {
	uint8_t *data;
	size_t used, size;
};

struct revocation_writer {
	int fd;
	off_t at;
	unsigned int width;
	EVP_MD_CTX *digest;
	const char *failure; /* the first one; NULL: none yet */
	int failure_errno;   /* 0: it was no system call */
	uint64_t entry_count;
	struct table fences, sections, invalidities;
	/* The section that is being written. */
	struct name_key issuer;
	unsigned int common;
	uint64_t first;
	size_t first_fence;
	size_t buffered;
	uint8_t buffer[BUFFER_SIZE];
};

static void fail(struct revocation_writer *writer, const char *what, int number)
{
	if (writer->failure != NULL)
		return;
	writer->failure = what;
	writer->failure_errno = number;
}

static uint8_t *table_add(struct revocation_writer *writer, struct table *table, size_t len)
{
	if (table->size - table->used < len) {
		size_t size = table->size == 0 ? TABLE_FIRST_SIZE : table->size * 2;
		uint8_t *data = realloc(table->data, size);

		if (data == NULL) {
			fail(writer, "out of memory", 0);
			return NULL;
		}
		table->data = data;
		table->size = size;
	}
	table->used += len;
	return table->data + table->used - len;
}

/* What lies behind the header goes into the checksum in the order in which it is written. */
static void put(struct revocation_writer *writer, const uint8_t *data, size_t len)
{
	if (writer->failure != NULL || len == 0)
		return;
	if (EVP_DigestUpdate(writer->digest, data, len) != 1)
		fail(writer, "computing the checksum failed", 0);
	else if (whole_write_at(writer->fd, data, len, writer->at) == -1)
		fail(writer, "writing failed", errno);
	writer->at += (off_t)len;
}

static void flush(struct revocation_writer *writer)
{
	put(writer, writer->buffer, writer->buffered);
	writer->buffered = 0;
}

struct revocation_writer *revocation_writer_new(int fd, unsigned int width, struct error *err)
{
	struct revocation_writer *writer = calloc(1, sizeof(*writer));

	if (writer != NULL)
		writer->digest = EVP_MD_CTX_new();
	if (writer == NULL || writer->digest == NULL ||
		EVP_DigestInit_ex(writer->digest, EVP_sha256(), NULL) != 1) {
		error_set(err, "writing a revocation index: out of memory");
		if (writer != NULL)
			EVP_MD_CTX_free(writer->digest);
		free(writer);
		return NULL;
	}
	writer->fd = fd;
	writer->at = REVOCATION_FILE_HEADER_SIZE;
	writer->width = width;
	return writer;
}

/* Puts the section into the table, now that its count is known. */
static void section_end(struct revocation_writer *writer)
{
	uint8_t *at;

	if (writer->entry_count == writer->first)
		return;
	at = table_add(writer, &writer->sections, REVOCATION_FILE_SECTION_SIZE);
	if (at == NULL)
		return;
	memset(at, 0, REVOCATION_FILE_SECTION_SIZE);
	memcpy(at, writer->issuer.octets, sizeof(writer->issuer.octets));
	sealed_index_put(at + 16, 8, writer->first);
	sealed_index_put(at + 24, 8, writer->entry_count - writer->first);
	sealed_index_put(at + 32, 8, writer->first_fence);
	at[40] = (uint8_t)writer->common;
}

void revocation_writer_section(
	struct revocation_writer *writer, const struct name_key *issuer, unsigned int common)
{
	section_end(writer);
	writer->issuer = *issuer;
	writer->common = common;
	writer->first = writer->entry_count;
	writer->first_fence = writer->fences.used / REVOCATION_FILE_FENCE_SIZE;
}

void revocation_writer_entry(struct revocation_writer *writer, const struct serial *serial,
	struct revocation_meta meta, int64_t invalidity_date)
{
	const uint8_t *octets = serial->octets + sizeof(serial->octets) - writer->width;
	size_t len = writer->width + sizeof(meta.octets);
	uint8_t *at;

	if (writer->buffered + len > BUFFER_SIZE)
		flush(writer);
	memcpy(writer->buffer + writer->buffered, octets, writer->width);
	memcpy(writer->buffer + writer->buffered + writer->width, meta.octets, sizeof(meta.octets));
	writer->buffered += len;
	if ((writer->entry_count - writer->first) % REVOCATION_FILE_STEP == 0) {
		at = table_add(writer, &writer->fences, REVOCATION_FILE_FENCE_SIZE);
		if (at != NULL)
			sealed_index_put(at, REVOCATION_FILE_FENCE_SIZE,
				revocation_serial_word(octets, writer->width, writer->common));
	}
	if (invalidity_date != 0) {
		at = table_add(writer, &writer->invalidities, REVOCATION_FILE_INVALIDITY_SIZE);
		if (at != NULL) {
			sealed_index_put(at, 4, writer->entry_count);
			sealed_index_put(at + 4, 8, (uint64_t)invalidity_date);
		}
	}
	writer->entry_count++;
}

static void put_header(struct revocation_writer *writer, const struct revocation_facts *facts)
{
	struct revocation_counts counts = {.width = writer->width,
		.sections = writer->sections.used / REVOCATION_FILE_SECTION_SIZE,
		.fences = writer->fences.used / REVOCATION_FILE_FENCE_SIZE,
		.invalidities = writer->invalidities.used / REVOCATION_FILE_INVALIDITY_SIZE};
	uint8_t header[REVOCATION_FILE_HEADER_SIZE];

	if (counts.sections > REVOCATION_FILE_SECTION_MAX ||
		facts->entry_count > REVOCATION_FILE_ENTRY_MAX)
		fail(writer, "more entries or issuers than an index may have", 0);
	if (writer->failure != NULL)
		return;
	revocation_file_encode(facts, &counts, header);
	if (EVP_DigestUpdate(writer->digest, header, REVOCATION_FILE_CHECKSUM_AT) != 1 ||
		EVP_DigestFinal_ex(writer->digest, header + REVOCATION_FILE_CHECKSUM_AT, NULL) != 1)
		fail(writer, "computing the checksum failed", 0);
	else if (whole_write_at(writer->fd, header, sizeof(header), 0) == -1)
		fail(writer, "writing failed", errno);
}

static int writer_report(struct revocation_writer *writer, struct error *err)
{
	if (writer->failure == NULL)
		return 0;
	errno = writer->failure_errno;
	if (errno != 0)
		error_sys(err, "writing a revocation index of %llu entries",
			(unsigned long long)writer->entry_count);
	else
		error_set(err, "writing a revocation index: %s", writer->failure);
	if (ftruncate(writer->fd, 0) == -1)
		return -1; /* what is left fails its checksum */
	return -1;
}

int revocation_writer_finish(
	struct revocation_writer *writer, struct revocation_facts *facts, struct error *err)
{
	int result;

	section_end(writer);
	facts->entry_count = writer->entry_count;
	flush(writer);
	put(writer, writer->fences.data, writer->fences.used);
	put(writer, writer->sections.data, writer->sections.used);
	put(writer, writer->invalidities.data, writer->invalidities.used);
	facts->mapped_size = (uint64_t)writer->at;
	put_header(writer, facts);
	result = writer_report(writer, err);
	EVP_MD_CTX_free(writer->digest);
	free(writer->fences.data);
	free(writer->sections.data);
	free(writer->invalidities.data);
	free(writer);
	return result;
}
