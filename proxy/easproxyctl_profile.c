#include "proxy/easproxyctl_profile.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/ui.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/whole.h"
#include "proxy/easproxyctl_usage.h"

enum { PASSWORD_MAX = 1000 };

static void print_told(void *context, enum profile_grade grade, const char *text)
{
	static const char *const words[] = {[PROFILE_NOTE] = "note",
		[PROFILE_WARNING] = "warning",
		[PROFILE_PROBLEM] = "problem"};
	struct profile_tally *tally = context;

	fprintf(tally->stream, "%s: %s\n", words[grade], text);
	tally->problems += grade == PROFILE_PROBLEM;
	tally->warnings += grade == PROFILE_WARNING;
}

struct profile_report profile_tally_report(struct profile_tally *tally)
{
	return (struct profile_report){.tell = print_told, .context = tally};
}

static char *read_line(int fd, const char *path, struct error *err)
{
	char *text = calloc(1, PASSWORD_MAX + 2);
	ssize_t len = text != NULL ? whole_read(fd, text, PASSWORD_MAX + 1) : -1;

	if (len < 0)
		error_sys(err, "reading the password from %s", path);
	else if (len > PASSWORD_MAX)
		error_set(err, "the password in %s is longer than %d characters", path,
			(int)PASSWORD_MAX);
	if (len < 0 || len > PASSWORD_MAX) {
		profile_password_free(text);
		return NULL;
	}
	text[strcspn(text, "\r\n")] = '\0';
	return text;
}

static char *ask(const char *what, struct error *err)
{
	char *text = calloc(1, PASSWORD_MAX + 2);
	char prompt[300];

	snprintf(prompt, sizeof(prompt), "Password of %.200s: ", what);
	if (text == NULL || EVP_read_pw_string(text, PASSWORD_MAX, prompt, 0) != 0) {
		error_set(err, "no password was given for %s (--password-file FILE)", what);
		profile_password_free(text);
		return NULL;
	}
	return text;
}

char *profile_password(const char *path, const char *what, struct error *err)
{
	char *text;
	int fd;

	if (path == NULL)
		return ask(what, err);
	if (strcmp(path, "-") == 0)
		return read_line(STDIN_FILENO, "standard input", err);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1) {
		error_sys(err, "opening %s", path);
		return NULL;
	}
	text = read_line(fd, path, err);
	close(fd);
	return text;
}

void profile_password_free(char *password)
{
	if (password != NULL)
		OPENSSL_cleanse(password, strlen(password));
	free(password);
}

/* It has a private key in it: for its owner alone, and never half of it. */
int profile_save(const char *path, struct span content, struct error *err)
{
	char temporary[4096];
	int fd;

	if (strcmp(path, "-") == 0)
		return fwrite(content.data, 1, content.len, stdout) == content.len &&
				       fflush(stdout) == 0
			       ? 0
			       : error_sys(err, "writing to standard output");
	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= sizeof(temporary))
		return error_set(err, "writing %s: the name is too long", path);
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd == -1)
		return error_sys(err, "making a file beside %s", path);
	if (whole_write(fd, content.data, content.len) != 0 || fsync(fd) != 0 ||
		rename(temporary, path) != 0) {
		error_sys(err, "writing %s", path);
		unlink(temporary);
		close(fd);
		return -1;
	}
	close(fd);
	return 0;
}

int ctl_profile(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "lint") == 0)
		return ctl_profile_lint(argc - 1, argv + 1);
	return ctl_profile_make(argc, argv);
}
