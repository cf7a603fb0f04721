#include "tests/unit/check.h"

#include <arpa/inet.h>
#include <krb5.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth/ticket_desk.h"
#include "config/whole.h"

/* Sections kerberos, all with the same key table. */
struct world {
	struct config config;
	struct config_kerberos sections[2];
	struct config_word kdc;
	char kdc_text[40];
	struct error err;
	char text[600]; /* what was reported last */
	struct login_fault fault;
	struct ticket ticket;
};

/* A memory file with keys of these principals. */
static int key_table(const char *const *principals, size_t count)
{
	int fd = memfd_create("keytab", 0);
	krb5_keytab_entry entry = {.vno = 2};
	krb5_context krb5;
	krb5_keytab table;
	char name[80];

	snprintf(name, sizeof(name), "WRFILE:/proc/self/fd/%d", fd);
	/* The library begins a file only where there is none. */
	if (fd == -1 || whole_write(fd, "\5\2", 2) == -1 || krb5_init_context(&krb5) != 0 ||
		krb5_kt_resolve(krb5, name, &table) != 0)
		abort();
	for (size_t i = 0; i < count; i++) {
		if (krb5_parse_name(krb5, principals[i], &entry.principal) != 0 ||
			krb5_c_make_random_key(krb5, ENCTYPE_AES256_CTS_HMAC_SHA1_96, &entry.key) !=
				0 ||
			krb5_kt_add_entry(krb5, table, &entry) != 0)
			abort();
		krb5_free_principal(krb5, entry.principal);
		krb5_free_keyblock_contents(krb5, &entry.key);
	}
	krb5_kt_close(krb5, table);
	krb5_free_context(krb5);
	return fd;
}

/* Sections for CONTOSO.TEST and CHILD.CONTOSO.TEST; count says how many of them there are. */
static void world_open(struct world *world, size_t count, int table)
{
	static char *const realms[] = {"CONTOSO.TEST", "CHILD.CONTOSO.TEST"};

	memset(world, 0, sizeof(*world));
	setenv("KRB5_CONFIG", "/dev/null", 1);
	for (size_t i = 0; i < count; i++)
		world->sections[i] = (struct config_kerberos){.realm = realms[i],
			.account = "svc-easproxy",
			.keytab = {.path = "the.keytab", .fd = table}};
	world->config.kerberos = world->sections;
	world->config.kerberos_count = count;
}

/* A port on which nobody listens. */
static void set_closed_kdc(struct world *world)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(fd, (struct sockaddr *)&address, len) == -1 ||
		getsockname(fd, (struct sockaddr *)&address, &len) == -1)
		abort();
	close(fd);
	snprintf(world->kdc_text, sizeof(world->kdc_text), "127.0.0.1:%u",
		(unsigned int)ntohs(address.sin_port));
	world->kdc.text = world->kdc_text;
	world->sections[0].kdcs.list = &world->kdc;
	world->sections[0].kdcs.count = 1;
}

/* What becomes of this account; the key table is closed before, as easproxyd does it. */
static enum login_status fetch(struct world *world, const char *account, const char *realm)
{
	struct ticket_desk *desk = ticket_desk_new(&world->config, &world->err);
	struct login_subject subject = {.mailbox = "alice@contoso.test"};
	enum login_status status;

	CU_ASSERT_PTR_NOT_NULL_FATAL(desk);
	close(world->sections[0].keytab.fd);
	snprintf(subject.account, sizeof(subject.account), "%s", account);
	snprintf(subject.realm, sizeof(subject.realm), "%s", realm);
	status = ticket_desk_fetch(
		desk, &subject, "HTTP/exchange.contoso.test", &world->ticket, &world->fault);
	CU_ASSERT_PTR_NULL(world->ticket.bytes);
	ticket_desk_free(desk);
	return status;
}

static void test_a_closed_kdc_is_unavailable(void)
{
	const char *const names[] = {"svc-other@CONTOSO.TEST", "svc-easproxy@CONTOSO.TEST"};
	struct world world;

	world_open(&world, 1, key_table(names, 2));
	set_closed_kdc(&world);

	CU_ASSERT_EQUAL(fetch(&world, "alice", "CONTOSO.TEST"), LOGIN_UNAVAILABLE);

	CU_ASSERT_STRING_EQUAL(world.fault.text, "no KDC of CONTOSO.TEST answers");
	CU_ASSERT_PTR_NOT_NULL(strstr(world.fault.hint, "Do the names in kerberos/kdcs resolve"));
}

/* ktpass writes the SPN that it is told; that we get as far as the KDC shows that there was a key. */
static void test_keys_under_the_name_of_an_spn_are_the_accounts(void)
{
	const char *const names[] = {"HTTP/easproxy.contoso.test@CONTOSO.TEST",
		"HTTP/easproxy.contoso.test@CONTOSO.TEST"};
	struct world world;

	world_open(&world, 1, key_table(names, 2));
	set_closed_kdc(&world);

	CU_ASSERT_EQUAL(fetch(&world, "alice", "CONTOSO.TEST"), LOGIN_UNAVAILABLE);

	CU_ASSERT_STRING_EQUAL(world.fault.text, "no KDC of CONTOSO.TEST answers");
}

static void keep_fault(void *context, const char *text)
{
	struct world *world = context;

	snprintf(world->text, sizeof(world->text), "%s", text);
}

static void test_a_key_table_of_several_others_is_refused(void)
{
	const char *const names[] = {"HTTP/a.contoso.test@CONTOSO.TEST", "svc-b@CONTOSO.TEST"};
	struct world world;

	world_open(&world, 1, key_table(names, 2));

	CU_ASSERT_PTR_NULL(ticket_desk_new(&world.config, &world.err));

	CU_ASSERT_STRING_EQUAL(world.err.text,
		"the key table the.keytab has no key of svc-easproxy@CONTOSO.TEST, but of "
		"HTTP/a.contoso.test@CONTOSO.TEST, svc-b@CONTOSO.TEST: are account and realm "
		"right, "
		"and written as there?");
	world.config.upstream.login = CONFIG_LOGIN_KERBEROS;
	world.sections[0].place = (struct config_place){"easproxy.conf", 7};
	CU_ASSERT_EQUAL(ticket_desk_check(&world.config, keep_fault, &world), -1);
	CU_ASSERT_STRING_EQUAL(world.text,
		"easproxy.conf:7: kerberos 'CONTOSO.TEST': the key table the.keytab has no key of "
		"svc-easproxy@CONTOSO.TEST, but of HTTP/a.contoso.test@CONTOSO.TEST, "
		"svc-b@CONTOSO.TEST: are account and realm right, and written as there?");
	world.config.upstream.login = CONFIG_LOGIN_HEADER;
	CU_ASSERT_EQUAL(ticket_desk_check(&world.config, keep_fault, &world), 0);
	close(world.sections[0].keytab.fd);
}

static void test_a_key_table_of_another_realm_is_refused(void)
{
	const char *const names[] = {"svc-easproxy@CONTOSO.COM", "svc-easproxy@CONTOSO.COM"};
	struct world world;

	world_open(&world, 1, key_table(names, 2));

	CU_ASSERT_PTR_NULL(ticket_desk_new(&world.config, &world.err));

	CU_ASSERT_STRING_EQUAL(world.err.text,
		"the key table the.keytab has no key of svc-easproxy@CONTOSO.TEST, but of "
		"svc-easproxy@CONTOSO.COM: are account and realm right, and written as there?");
	close(world.sections[0].keytab.fd);
}

static void test_what_is_no_key_table_is_refused(void)
{
	struct world world;
	int fd = memfd_create("rubbish", 0);

	CU_ASSERT_EQUAL(whole_write(fd, "rubbish", 7), 0);
	world_open(&world, 1, fd);

	CU_ASSERT_PTR_NULL(ticket_desk_new(&world.config, &world.err));

	CU_ASSERT_PTR_NOT_NULL(strstr(world.err.text, "reading the key table the.keytab: "));
	close(fd);
}

static void test_a_realm_without_kdcs_says_where_to_name_them(void)
{
	const char *const names[] = {"svc-easproxy@CONTOSO.TEST"};
	struct world world;

	world_open(&world, 1, key_table(names, 1));

	CU_ASSERT_EQUAL(fetch(&world, "alice", "CONTOSO.TEST"), LOGIN_MISCONFIGURED);

	CU_ASSERT_STRING_EQUAL(world.fault.text, "no KDC of CONTOSO.TEST is known");
	CU_ASSERT_PTR_NOT_NULL(strstr(world.fault.hint, "DNS is not asked"));
}

static void test_an_account_of_a_third_realm_is_refused(void)
{
	const char *const names[] = {
		"svc-easproxy@CONTOSO.TEST", "svc-easproxy@CHILD.CONTOSO.TEST"};
	struct world world;

	world_open(&world, 2, key_table(names, 2));

	CU_ASSERT_EQUAL(fetch(&world, "alice", "FABRIKAM.TEST"), LOGIN_REFUSED);

	CU_ASSERT_STRING_EQUAL(world.fault.text,
		"the account alice is in realm 'FABRIKAM.TEST', for which there is no section "
		"kerberos");
}

static void test_a_mailbox_without_an_account_is_refused(void)
{
	const char *const names[] = {"svc-easproxy@CONTOSO.TEST"};
	struct world world;

	world_open(&world, 1, key_table(names, 1));

	CU_ASSERT_EQUAL(fetch(&world, "", ""), LOGIN_REFUSED);

	CU_ASSERT_STRING_EQUAL(
		world.fault.text, "the directory has no account name for alice@contoso.test");
}

int main(void)
{
	static const struct check checks[] = {
		{"a closed KDC is unavailable", test_a_closed_kdc_is_unavailable},
		{"keys under the name of an SPN are the account's",
			test_keys_under_the_name_of_an_spn_are_the_accounts},
		{"a key table of several others is refused",
			test_a_key_table_of_several_others_is_refused},
		{"a key table of another realm is refused",
			test_a_key_table_of_another_realm_is_refused},
		{"what is no key table is refused", test_what_is_no_key_table_is_refused},
		{"a realm without KDCs says where to name them",
			test_a_realm_without_kdcs_says_where_to_name_them},
		{"an account of a third realm is refused",
			test_an_account_of_a_third_realm_is_refused},
		{"a mailbox without an account is refused",
			test_a_mailbox_without_an_account_is_refused},
	};

	return check_run("auth/ticket_desk", checks, sizeof(checks) / sizeof(checks[0]));
}
