#include "auth/x509_text.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <time.h>

void x509_name_format(const X509_NAME *name, char *text, size_t size)
{
	BIO *out = BIO_new(BIO_s_mem());
	int len = 0;

	if (size == 0)
		goto out;
	if (out != NULL && X509_NAME_print_ex(out, name, 0, XN_FLAG_RFC2253) >= 0)
		len = BIO_read(out, text, size > 65536 ? 65535 : (int)size - 1);
	if (len < 0)
		len = 0;
	text[len] = '\0';
	/* OpenSSL escapes them already; a log line must not depend on its flags. */
	for (int i = 0; i < len; i++)
		if (text[i] < 0x20 || text[i] > 0x7e)
			text[i] = '?';
out:
	BIO_free(out);
	ERR_clear_error();
}

int x509_time_read(const ASN1_TIME *time, int64_t *seconds)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(time, &tm) != 1)
		return -1;
	*seconds = timegm(&tm);
	return 0;
}
