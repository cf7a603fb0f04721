/*
 * A root, authorities under it, and CRLs of theirs, for tests of what a set of indexes says. Makes
 * everything with OpenSSL, as auth_crl_maker.h does.
 */
#ifndef TESTS_UNIT_REVOCATION_WORLD_H
#define TESTS_UNIT_REVOCATION_WORLD_H

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "auth/revocation_compile.h"
#include "auth/revocation_set.h"
#include "tests/unit/auth_crl_maker.h"

enum { WORLD_MAX = 8 };

struct world {
	struct maker_ca cas[WORLD_MAX];
	struct authority authorities[WORLD_MAX];
	struct trust_store store;
	struct revocation_set set;
};

/* Adds a certificate to the store, with count CRL locations; its number. */
static inline int world_add(struct world *world, const struct maker_spec *spec, size_t count)
{
	static char url[] = "http://crl.example/ca.crl";
	static char none[] = "";
	size_t number = world->store.count++;
	struct authority *authority = &world->authorities[number];

	maker_must(number < WORLD_MAX, "so many authorities");
	world->cas[number] = maker_issue(spec);
	*authority = (struct authority){.certificate = world->cas[number].certificate,
		.is_root = spec->issuer == NULL,
		.is_crl_signer = spec->is_no_ca,
		.crl_count = count,
		.issuer = none};
	for (size_t place = 0; place < CRL_LOCATION_MAX; place++) {
		authority->crls[place].url = place < count ? url : none;
		authority->crls[place].delta_url = none;
	}
	world->store.authorities = world->authorities;
	return (int)number;
}

/* Once all are added. */
static inline void world_begin(struct world *world)
{
	struct error err = {""};

	maker_must(revocation_set_init(&world->set, &world->store, &err) == 0, err.text);
}

static inline void world_free(struct world *world)
{
	revocation_set_clear(&world->set);
	for (size_t i = 0; i < world->store.count; i++)
		maker_ca_free(&world->cas[i]);
	memset(world, 0, sizeof(*world));
}

/* Signs and frees the CRL, and compiles it for the authority. NULL with err filled. */
static inline struct revocation_index *world_compile(struct world *world, int authority,
	X509_CRL *crl, const struct maker_ca *signer, struct error *err)
{
	const struct revocation_signers signers = {&world->store, authority};
	struct span der = maker_crl_sign(crl, signer, EVP_sha256());
	int fd = memfd_create("index", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct revocation_index *index = NULL;
	struct revocation_facts facts;

	maker_must(fd != -1, "a memory file");
	err->text[0] = '\0';
	if (revocation_compile(der, &signers, NULL, time(NULL), fd, &facts, err) == 0)
		index = revocation_index_open(fd, "test", err);
	close(fd);
	maker_span_free(&der);
	return index;
}

/* The same, into its place; what is wrong, or "". */
static inline const char *world_put(
	struct world *world, int authority, int place, X509_CRL *crl, const struct maker_ca *signer)
{
	static struct error err;
	struct revocation_index *index = world_compile(world, authority, crl, signer, &err);

	if (index != NULL)
		revocation_set_put(&world->set, authority, place, index, &err);
	return err.text;
}

/* Of a phone's certificate (or a CA's) of authority with that serial, and the distribution points
 * of points (may be NULL). */
static inline enum refusal world_ask_at(const struct world *world, int authority, uint8_t serial,
	bool is_ca, X509 *points, int64_t now, struct revocation_finding *finding)
{
	struct revocation_point list[16];
	struct revocation_target target = {.authority = authority, .is_ca = is_ca, .points = list};

	target.serial.octets[19] = serial;
	if (points != NULL)
		maker_must(revocation_points_read(points, 0, list, 16, &target.point_count) == 0,
			"distribution points");
	return revocation_set_check(&world->set, &target, now, finding);
}

static inline enum refusal world_ask(
	const struct world *world, int authority, uint8_t serial, bool is_ca, X509 *points)
{
	return world_ask_at(world, authority, serial, is_ca, points, time(NULL), NULL);
}

#endif
