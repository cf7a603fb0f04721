#include "auth/revocation_der.h"

static int length_read(struct span input, size_t *at, size_t *len)
{
	size_t count;

	if (*at >= input.len)
		return -1;
	*len = input.data[(*at)++];
	if (*len < 0x80)
		return 0;
	count = *len & 0x7f;
	if (count == 0 || count > 4 || count > input.len - *at)
		return -1;
	*len = 0;
	for (size_t i = 0; i < count; i++)
		*len = *len << 8 | input.data[(*at)++];
	return *len < 0x80 || *len >> (8 * (count - 1)) == 0 ? -1 : 0;
}

int der_next(struct span *input, struct der_item *item)
{
	size_t at = 1;
	size_t len;

	if (input->len == 0 || (input->data[0] & 0x1f) == 0x1f)
		return -1;
	if (length_read(*input, &at, &len) == -1 || len > input->len - at)
		return -1;
	item->tag = input->data[0];
	item->value = span_of(input->data + at, len);
	item->whole = span_of(input->data, at + len);
	input->data += at + len;
	input->len -= at + len;
	return 0;
}

int der_expect(struct span *input, uint8_t tag, struct der_item *item)
{
	return der_is_next(*input, tag) ? der_next(input, item) : -1;
}

bool der_is_next(struct span input, uint8_t tag)
{
	return input.len > 0 && input.data[0] == tag;
}

int der_boolean(struct span *input, bool *value)
{
	struct der_item item;

	*value = false;
	if (!der_is_next(*input, DER_BOOLEAN))
		return 0;
	if (der_next(input, &item) == -1 || item.value.len != 1)
		return -1;
	if (item.value.data[0] != 0 && item.value.data[0] != 0xff)
		return -1;
	*value = item.value.data[0] != 0;
	return 0;
}

static int two_digits(const uint8_t *at)
{
	if (at[0] < '0' || at[0] > '9' || at[1] < '0' || at[1] > '9')
		return -1;
	return (at[0] - '0') * 10 + (at[1] - '0');
}

/* Days since 1970-01-01 in the Gregorian calendar. Years begin in March here, so that the leap day
 * is a year's last. */
static int64_t days_from_date(int year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return y * 365 + y / 4 - y / 100 + y / 400 + day_of_year - 719468;
}

static bool is_date(int year, int month, int day)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	if (year < 1 || month < 1 || month > 12 || day < 1)
		return false;
	return day <= days[month - 1] + (month == 2 && is_leap ? 1 : 0);
}

int der_time(const struct der_item *item, int64_t *seconds)
{
	const uint8_t *at = item->value.data;
	int part[5];
	int century;
	int year;

	if (item->tag == DER_GENERALIZED_TIME && item->value.len == 15) {
		century = two_digits(at);
		at += 2;
	} else if (item->tag == DER_UTC_TIME && item->value.len == 13) {
		century = at[0] >= '5' ? 19 : 20;
	} else {
		return -1;
	}
	year = two_digits(at);
	for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
		part[i] = two_digits(at + 2 + 2 * i);
		if (part[i] == -1)
			return -1;
	}
	if (century == -1 || year == -1 || at[12] != 'Z')
		return -1;
	year += century * 100;
	if (!is_date(year, part[0], part[1]) || part[2] > 23 || part[3] > 59 || part[4] > 59)
		return -1;
	*seconds = ((days_from_date(year, part[0], part[1]) * 24 + part[2]) * 60 + part[3]) * 60 +
		   part[4];
	return 0;
}

int der_integer(struct span value, uint8_t *octets, size_t size)
{
	uint8_t sign;

	if (value.len == 0)
		return -1;
	sign = (value.data[0] & 0x80) != 0 ? 0xff : 0;
	if (value.len > 1 && (value.data[0] == 0 || value.data[0] == 0xff) &&
		((value.data[0] ^ value.data[1]) & 0x80) == 0)
		return -1;
	if (value.len == size + 1 && value.data[0] == sign)
		value = span_of(value.data + 1, size);
	if (value.len > size)
		return -1;
	memset(octets, sign, size - value.len);
	memcpy(octets + size - value.len, value.data, value.len);
	return 0;
}
