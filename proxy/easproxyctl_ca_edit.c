/* easproxyctl ca add, set, remove and import: what each does to the document of the trust store. */
#include <libgen.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/authority.h"
#include "auth/authority_bundle.h"
#include "auth/trust_document.h"
#include "auth/trust_write.h"
#include "auth/x509_text.h"
#include "proxy/easproxyctl_ca.h"
#include "proxy/easproxyctl_ca_change.h"
#include "proxy/easproxyctl_ca_terms.h"

enum { IMPORT_SIZE_MAX = 16 << 20, SUBJECT_SIZE = 512 };

/* What a command line asks for. */
struct edit {
	struct ca_change change;
	struct ca_terms terms;
	const char *subject; /* FILE or CA */
	bool may_be_root, may_be_intermediate, is_crl_signer, replaces;
};

static int complain(const struct error *err)
{
	fprintf(stderr, "easproxyctl: %s\n", err->text);
	return 1;
}

/* Reads the command line by a table of options. 0, or -1 where it is wrong. */
static int read_arguments(struct edit *edit, int argc, char **argv, const struct option *options)
{
	int option;

	*edit = (struct edit){.change.file.directory_fd = -1};
	ca_place_begin(&edit->change.place);
	ca_terms_begin(&edit->terms);
	opterr = 0; /* the usage says it better */
	while ((option = getopt_long(argc, argv, CA_PLACE_LETTERS, options, NULL)) != -1) {
		if (ca_place_take(&edit->change.place, option, optarg) ||
			ca_terms_take(&edit->terms, option, optarg))
			continue;
		switch (option) {
		case 'n': edit->change.is_dry_run = true; break;
		case 'r': edit->may_be_root = true; break;
		case 'i': edit->may_be_intermediate = true; break;
		case 'g': edit->is_crl_signer = true; break;
		case 'R': edit->replaces = true; break;
		default: return -1;
		}
	}
	if (optind != argc - 1)
		return -1;
	edit->subject = argv[optind];
	return 0;
}

static void edit_end(struct edit *edit)
{
	ca_terms_end(&edit->terms);
	ca_change_end(&edit->change);
}

/* A command line that is wrong. */
static int edit_usage(struct edit *edit, int argc, char **argv)
{
	edit_end(edit);
	return ctl_ca_usage(argc, argv);
}

/* add */

static bool is_authority(X509 *certificate)
{
	return X509_check_ca(certificate) == 1;
}

/* Whether to take one, as a root or not. 1: yes; 0: passed over; -1 with err filled. */
static int judge_certificate(
	const struct edit *edit, X509 *certificate, bool is_alone, bool *is_root, struct error *err)
{
	bool is_self_signed = X509_self_signed(certificate, 0) == 1;
	char subject[SUBJECT_SIZE];

	x509_name_format(X509_get_subject_name(certificate), subject, sizeof(subject));
	/* Bundles have a phone's or a server's certificate in them now and then. */
	if (!is_alone && !edit->is_crl_signer && !is_authority(certificate)) {
		printf("passed over, not a CA: %s\n", subject);
		return 0;
	}
	*is_root = edit->may_be_root && (is_self_signed || !edit->may_be_intermediate);
	if (is_self_signed && !edit->may_be_root && !edit->is_crl_signer)
		return error_set(err,
			"%s is self-signed: say --root if paths may end there (beside "
			"--intermediate, "
			"where there are both)",
			subject);
	return 1;
}

static int add_certificate(struct edit *edit, X509 *certificate, bool is_root)
{
	json_t *entry = json_object();

	if (trust_document_set(entry, TRUST_IS_ROOT, json_boolean(is_root)) == -1 ||
		trust_document_set(
			entry, TRUST_CERTIFICATE, trust_write_certificate(certificate)) == -1 ||
		(edit->is_crl_signer &&
			trust_document_set(entry, TRUST_IS_CRL_SIGNER, json_true()) == -1) ||
		ca_terms_apply(&edit->terms, entry) == -1) {
		json_decref(entry);
		return -1;
	}
	return json_array_append_new(edit->change.list, entry);
}

static int add_all(struct edit *edit, STACK_OF(X509) * all, struct error *err)
{
	int added = 0;

	for (int i = 0; i < sk_X509_num(all); i++) {
		X509 *certificate = sk_X509_value(all, i);
		bool is_root;
		int judged =
			judge_certificate(edit, certificate, sk_X509_num(all) == 1, &is_root, err);

		if (judged == -1)
			return -1;
		if (judged == 0)
			continue;
		if (++added > 1 && ca_terms_has_crl(&edit->terms))
			return error_set(err,
				"%s has several authorities, and a CRL location is that of one; "
				"add it without, then use easproxyctl ca set",
				edit->subject);
		if (add_certificate(edit, certificate, is_root) == -1)
			return error_set(err, "out of memory");
	}
	return added > 0 ? 0 : error_set(err, "%s has no CA in it", edit->subject);
}

int ctl_ca_add(int argc, char **argv)
{
	static const struct option options[] = {CA_PLACE_OPTIONS, CA_TERM_OPTIONS,
		{"root", no_argument, NULL, 'r'}, {"intermediate", no_argument, NULL, 'i'},
		{"crl-signer", no_argument, NULL, 'g'}, {"dry-run", no_argument, NULL, 'n'},
		{NULL, 0, NULL, 0}};
	STACK_OF(X509) *all = NULL;
	struct edit edit;
	struct error err;
	int status;

	if (read_arguments(&edit, argc, argv, options) == -1)
		return edit_usage(&edit, argc, argv);
	if (edit.is_crl_signer == (edit.may_be_root || edit.may_be_intermediate)) {
		fputs("easproxyctl: say what the certificates are: --root and --intermediate, one "
		      "or both, or --crl-signer\n",
			stderr);
		return edit_usage(&edit, argc, argv);
	}
	all = authority_bundle_read(edit.subject, &err);
	if (all == NULL || ca_change_begin(&edit.change, &err) == -1 ||
		add_all(&edit, all, &err) == -1)
		status = complain(&err);
	else
		status = ca_change_finish(&edit.change);
	sk_X509_pop_free(all, X509_free);
	edit_end(&edit);
	return status;
}

/* set */

/* Another certificate of the same authority has the same terms. */
static bool is_twin(const struct trust_store *store, size_t a, size_t b)
{
	return store != NULL && authority_is_same(store->authorities[a].certificate,
					store->authorities[b].certificate);
}

int ctl_ca_set(int argc, char **argv)
{
	static const struct option options[] = {CA_PLACE_OPTIONS, CA_TERM_OPTIONS,
		{"dry-run", no_argument, NULL, 'n'}, {NULL, 0, NULL, 0}};
	struct edit edit;
	struct error err;
	int status, found = -1;

	if (read_arguments(&edit, argc, argv, options) == -1 || edit.terms.count == 0)
		return edit_usage(&edit, argc, argv);
	if (ca_change_begin(&edit.change, &err) == 0)
		found = ca_change_select(&edit.change, edit.subject, &err);
	for (size_t i = 0; found != -1 && i < json_array_size(edit.change.list); i++)
		if ((i == (size_t)found || is_twin(edit.change.old, i, (size_t)found)) &&
			ca_terms_apply(&edit.terms, json_array_get(edit.change.list, i)) == -1)
			found = error_set(&err, "out of memory");
	status = found != -1 ? ca_change_finish(&edit.change) : complain(&err);
	edit_end(&edit);
	return status;
}

/* remove */

int ctl_ca_remove(int argc, char **argv)
{
	static const struct option options[] = {
		CA_PLACE_OPTIONS, {"dry-run", no_argument, NULL, 'n'}, {NULL, 0, NULL, 0}};
	struct edit edit;
	struct error err;
	int status, found = -1;

	if (read_arguments(&edit, argc, argv, options) == -1)
		return edit_usage(&edit, argc, argv);
	if (ca_change_begin(&edit.change, &err) == 0)
		found = ca_change_select(&edit.change, edit.subject, &err);
	if (found == -1) {
		status = complain(&err);
	} else {
		json_array_remove(edit.change.list, (size_t)found);
		status = ca_change_finish(&edit.change);
	}
	edit_end(&edit);
	return status;
}

/* import */

static char *read_input(FILE *stream, size_t *len)
{
	char *text = malloc(IMPORT_SIZE_MAX + 1);

	*len = text != NULL ? fread(text, 1, IMPORT_SIZE_MAX + 1, stream) : 0;
	return text;
}

/* The document to import; *directory is where its certificateFile paths start, for the caller to free. */
static json_t *read_document(const char *path, char **directory, struct error *err)
{
	bool is_standard = strcmp(path, "-") == 0;
	FILE *stream = is_standard ? stdin : fopen(path, "re");
	char *name = strdup(is_standard ? "./-" : path);
	json_t *document = NULL;
	struct error cause;
	char *text = NULL;
	size_t len;

	*directory = name != NULL ? strdup(dirname(name)) : NULL;
	if (stream == NULL)
		error_sys(err, "opening %s", path);
	else
		text = read_input(stream, &len);
	if (text != NULL && *directory != NULL)
		document = trust_document_parse(span_of(text, len), &cause);
	if (stream != NULL && document == NULL)
		error_set(err, "%s: %s", path,
			text == NULL || *directory == NULL ? "out of memory" : cause.text);
	if (stream != NULL && !is_standard)
		fclose(stream);
	free(text);
	free(name);
	return document;
}

int ctl_ca_import(int argc, char **argv)
{
	static const struct option options[] = {CA_PLACE_OPTIONS,
		{"replace", no_argument, NULL, 'R'}, {"dry-run", no_argument, NULL, 'n'},
		{NULL, 0, NULL, 0}};
	json_t *imported = NULL;
	char *directory = NULL;
	struct edit edit;
	struct error err;
	int status;

	if (read_arguments(&edit, argc, argv, options) == -1)
		return edit_usage(&edit, argc, argv);
	/* A tenant has what it has: what cannot serve is warned of, not refused. */
	edit.change.is_lenient = true;
	imported = read_document(edit.subject, &directory, &err);
	if (imported == NULL || ca_change_begin(&edit.change, &err) == -1) {
		status = complain(&err);
	} else if (trust_document_import(edit.change.list, edit.change.file.directory, imported,
			   edit.subject, directory, edit.replaces, ca_place_report, NULL) == -1) {
		fprintf(stderr, "easproxyctl: nothing was changed\n");
		status = 1;
	} else {
		status = ca_change_finish(&edit.change);
	}
	json_decref(imported);
	free(directory);
	edit_end(&edit);
	return status;
}
