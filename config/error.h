/*
 * Why something failed, in words for an operator: what was being done, to what, and why not.
 * The caller owns the struct; nothing in it needs freeing. For every room and every process.
 */
#ifndef CONFIG_ERROR_H
#define CONFIG_ERROR_H

struct error {
	char text[512];
};

/* Fills err (which may be NULL) from the format; longer texts are cut. Returns -1 always, so that
 * a failing function can end with `return error_set(err, …)`. */
int error_set(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same, followed by ": " and the text of errno as it was on entry. Returns -1 always. */
int error_sys(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
