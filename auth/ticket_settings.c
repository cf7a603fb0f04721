#include "auth/ticket_settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/whole.h"

static const char usual_file[] = "/etc/krb5.conf";

static const char head[] = "[libdefaults]\n"
			   "\tdns_lookup_kdc = false\n"
			   "\tdns_lookup_realm = false\n"
			   "\tdns_canonicalize_hostname = false\n"
			   "\trdns = false\n"
			   "\tudp_preference_limit = 1\n"
			   "\tkdc_timesync = 0\n"
			   "\tforwardable = true\n"
			   "\tdefault_ccache_name = MEMORY:none\n";

/* The "*" ends it: further kdcs of this realm in files behind this one do not count. */
static void write_realm(FILE *out, const struct config_kerberos *kerberos)
{
	if (kerberos->kdcs.count == 0)
		return;
	fprintf(out, "\t%s = {\n", kerberos->realm);
	for (size_t i = 0; i < kerberos->kdcs.count; i++)
		fprintf(out, "\t\tkdc = %s\n", kerberos->kdcs.list[i].text);
	fprintf(out, "\t}*\n");
}

static void write_settings(FILE *out, const struct config *config)
{
	fputs(head, out);
	if (config == NULL || config->kerberos_count == 0)
		return;
	fprintf(out, "\tdefault_realm = %s\n[realms]\n", config->kerberos[0].realm);
	for (size_t i = 0; i < config->kerberos_count; i++)
		write_realm(out, &config->kerberos[i]);
}

/* A memory file of that text, which stays open as long as the process lives: each token reads it. */
static int memory_file(const struct config *config)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int fd = -1;

	if (out == NULL)
		return -1;
	write_settings(out, config);
	if (fclose(out) == 0)
		fd = memfd_create("krb5.conf", MFD_CLOEXEC);
	if (fd != -1 && whole_write(fd, text, len) == -1) {
		close(fd);
		fd = -1;
	}
	free(text);
	return fd;
}

static bool asks_elsewhere(const struct config *config)
{
	for (size_t i = 0; i < config->kerberos_count; i++)
		if (config->kerberos[i].kdcs.count == 0)
			return true;
	return false;
}

/* Traces and caches in files, and another's keys. */
static void forget_environment(void)
{
	static const char *const names[] = {"KRB5CCNAME", "KRB5_KTNAME", "KRB5_CLIENT_KTNAME",
		"KRB5_TRACE", "KRB5RCACHETYPE", "KRB5RCACHENAME", "KRB5_KDC_PROFILE",
		"GSS_MECH_CONFIG"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
}

static int use(const struct config *config, const char *behind, struct error *err)
{
	char *files = NULL;
	int fd = memory_file(config), result = -1;

	if (fd != -1 && asprintf(&files, "/proc/self/fd/%d%s%s", fd, behind != NULL ? ":" : "",
				behind != NULL ? behind : "") == -1)
		files = NULL;
	if (files != NULL)
		result = setenv("KRB5_CONFIG", files, 1);
	free(files);
	if (result == -1) {
		error_sys(err, "writing the Kerberos library's settings");
		if (fd != -1)
			close(fd);
		return -1;
	}
	forget_environment();
	return 0;
}

int ticket_settings_ask(const struct config *config, struct error *err)
{
	const char *theirs = getenv("KRB5_CONFIG");

	if (!asks_elsewhere(config))
		return use(config, NULL, err);
	return use(config, theirs != NULL ? theirs : usual_file, err);
}

int ticket_settings_mute(struct error *err)
{
	return use(NULL, NULL, err);
}
