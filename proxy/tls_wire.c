#include "proxy/tls_wire.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* What is received lands here first; all handshakes of a process take turns with it. A flight of a
 * handshake has a few kB. */
static uint8_t landing[16 * 1024];

/* Goes along with the records that are sent, in pieces of any size. */
static void note_sent(struct tls_wire *wire, const uint8_t *data, size_t len)
{
	while (len > 0) {
		size_t step = 1, noted;

		if (wire->sent_len >= TLS_WIRE_HEAD && wire->sent_left == 0)
			wire->sent_len = 0; /* another record */
		if (wire->sent_len < TLS_WIRE_HEAD) {
			wire->sent[wire->sent_len++] = *data;
			if (wire->sent_len == TLS_WIRE_HEAD)
				wire->sent_left = (size_t)wire->sent[3] << 8 | wire->sent[4];
		} else {
			step = len < wire->sent_left ? len : wire->sent_left;
			noted = TLS_WIRE_NOTED - wire->sent_len;
			if (noted > step)
				noted = step;
			memcpy(wire->sent + wire->sent_len, data, noted);
			wire->sent_len += noted;
			wire->sent_left -= step;
		}
		data += step;
		len -= step;
	}
}

static bool is_for_later(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static void drop_kept(struct tls_wire *wire)
{
	free(wire->kept);
	wire->kept = NULL;
	wire->rest_len = 0;
}

/* One recv(). 1; 0: nothing came. */
static int receive(BIO *bio, struct tls_wire *wire, uint8_t *to, size_t size, size_t *len)
{
	ssize_t n = recv(wire->fd, to, size, 0);

	*len = n > 0 ? (size_t)n : 0;
	if (n > 0)
		return 1;
	if (n == 0)
		wire->has_ended = true;
	else if (is_for_later())
		BIO_set_retry_read(bio);
	return 0;
}

static int on_read(BIO *bio, char *data, size_t wanted, size_t *len)
{
	struct tls_wire *wire = BIO_get_data(bio);

	*len = 0;
	BIO_clear_retry_flags(bio);
	if (wire->rest_len == 0) {
		drop_kept(wire);
		if (wire->is_direct)
			return receive(bio, wire, (uint8_t *)data, wanted, len);
		if (receive(bio, wire, landing, sizeof(landing), &wire->rest_len) != 1)
			return 0;
		wire->rest = landing;
	}
	*len = wanted < wire->rest_len ? wanted : wire->rest_len;
	memcpy(data, wire->rest, *len);
	wire->rest += *len;
	wire->rest_len -= *len;
	return 1;
}

static int on_write(BIO *bio, const char *data, size_t len, size_t *written)
{
	struct tls_wire *wire = BIO_get_data(bio);
	ssize_t n = send(wire->fd, data, len, MSG_NOSIGNAL);

	BIO_clear_retry_flags(bio);
	*written = n > 0 ? (size_t)n : 0;
	note_sent(wire, (const uint8_t *)data, *written);
	if (n < 0 && is_for_later())
		BIO_set_retry_write(bio);
	return n >= 0;
}

static long on_control(BIO *bio, int command, long number, void *pointer)
{
	const struct tls_wire *wire = BIO_get_data(bio);

	(void)number;
	(void)pointer;
	switch (command) {
	case BIO_CTRL_FLUSH: return 1;
	case BIO_CTRL_EOF: return wire->has_ended;
	case BIO_CTRL_PENDING: return (long)wire->rest_len;
	default: return 0;
	}
}

static int on_destroy(BIO *bio)
{
	struct tls_wire *wire = BIO_get_data(bio);

	if (wire != NULL) {
		drop_kept(wire);
		OPENSSL_cleanse(wire, sizeof(*wire));
		free(wire);
	}
	return 1;
}

static int method_type(void)
{
	static int type;

	if (type == 0)
		type = BIO_get_new_index() | BIO_TYPE_SOURCE_SINK;
	return type;
}

static const BIO_METHOD *method(void)
{
	static BIO_METHOD *made;
	BIO_METHOD *new;

	if (made != NULL)
		return made;
	new = BIO_meth_new(method_type(), "socket of a handshake");
	if (new == NULL || BIO_meth_set_read_ex(new, on_read) != 1 ||
		BIO_meth_set_write_ex(new, on_write) != 1 ||
		BIO_meth_set_ctrl(new, on_control) != 1 ||
		BIO_meth_set_destroy(new, on_destroy) != 1) {
		BIO_meth_free(new);
		return NULL;
	}
	made = new;
	return made;
}

int tls_wire_attach(SSL *ssl, int fd)
{
	struct tls_wire *wire = calloc(1, sizeof(*wire));
	BIO *bio = wire != NULL && method() != NULL ? BIO_new(method()) : NULL;

	if (bio == NULL) {
		free(wire);
		return -1;
	}
	wire->fd = fd;
	BIO_set_data(bio, wire);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	return 0;
}

struct tls_wire *tls_wire_of(const SSL *ssl)
{
	BIO *bio = SSL_get_rbio(ssl);

	return bio != NULL && BIO_method_type(bio) == method_type() ? BIO_get_data(bio) : NULL;
}

int tls_wire_settle(struct tls_wire *wire)
{
	if (wire->rest_len == 0 || wire->kept != NULL)
		return 0;
	wire->kept = malloc(wire->rest_len);
	if (wire->kept == NULL)
		return -1;
	memcpy(wire->kept, wire->rest, wire->rest_len);
	wire->rest = wire->kept;
	return 0;
}
