/*
 * What a minted certificate costs: bench_auth_minted [COUNT] makes so many for each kind of key of
 * users and issuer, the issuer's in memory, and prints certificates a second and the bytes of one.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "auth/minted_certificate.h"
#include "tests/unit/test_pki.h"

static double seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static struct config_file file_of(BIO *text)
{
	struct config_file file = {.path = "bench", .fd = memfd_create("bench", MFD_CLOEXEC)};
	char *data;
	long len = BIO_get_mem_data(text, &data);

	PKI_MUST(file.fd != -1 && write(file.fd, data, (size_t)len) == len);
	BIO_free(text);
	return file;
}

static struct config_minted configure(const struct pki *issuer, enum config_key_type type)
{
	BIO *certificate = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_mem());

	PKI_MUST(PEM_write_bio_X509(certificate, issuer->certificate) == 1);
	PKI_MUST(PEM_write_bio_PrivateKey(key, issuer->key, NULL, NULL, 0, NULL, NULL) == 1);
	return (struct config_minted){.issuer = file_of(certificate),
		.key = file_of(key),
		.key_uri = "",
		.crl_url = "",
		.pin.fd = -1,
		.key_type = type,
		.life_ms = 3600 * 1000,
		.sid = true};
}

static void measure(const char *name, int issuer_bits, enum config_key_type type, int count)
{
	static const struct login_subject bob = {.mailbox = "bob@example.com",
		.upn = "bob@corp.example.com",
		.sid = "S-1-5-21-1004336348-1177238915-682003330-512"};
	struct pki issuer = pki_make((struct pki_spec){.name = "Gateway CA",
		.rsa_bits = issuer_bits,
		.basic_constraints = pki_ca_constraints,
		.key_usage = pki_ca_usage});
	struct config_minted config = configure(&issuer, type);
	static struct login_secret secret;
	struct login_fault fault;
	struct error err;
	bool was_refused;
	struct minter *minter = minter_new(&config, &was_refused, &err);
	double begin = seconds(CLOCK_MONOTONIC), first, used;

	PKI_MUST(minter != NULL);
	PKI_MUST(minter_mint(minter, &bob, time(NULL), &secret, &fault) == LOGIN_GIVEN);
	first = seconds(CLOCK_MONOTONIC) - begin;
	used = seconds(CLOCK_PROCESS_CPUTIME_ID);
	for (int i = 0; i < count; i++)
		PKI_MUST(minter_mint(minter, &bob, time(NULL), &secret, &fault) == LOGIN_GIVEN);
	used = seconds(CLOCK_PROCESS_CPUTIME_ID) - used;
	printf("%-34s first %7.2f ms, then %7.3f ms of CPU each, %6.0f a second; %zu bytes\n", name,
		first * 1e3, used * 1e3 / count, count / used, secret.len);
	minter_free(minter);
	close(config.issuer.fd);
	close(config.key.fd);
	pki_free(&issuer);
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 1000;

	if (count < 1)
		return 2;
	measure("users EC, issuer EC P-256", 0, CONFIG_KEY_EC, count);
	measure("users EC, issuer RSA 2048", 2048, CONFIG_KEY_EC, count);
	measure("users RSA, issuer EC P-256", 0, CONFIG_KEY_RSA, count);
	measure("users RSA, issuer RSA 2048", 2048, CONFIG_KEY_RSA, count);
	return 0;
}
