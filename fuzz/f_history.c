/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Lines of the history, and of the status socket: any bytes are read or
 * refused; what was read is written, what was written is read back the same,
 * and it can be drawn.
 */

#include "fuzz.h"

#include <stdio.h>

#include "ckpt.h"
#include "ctl_chart.h"

static struct ckpt ck, copy;

/* Written as JSON; the caller frees it. */
static char *
written(const struct ckpt *of, size_t *len)
{
	size_t max = ckpt_json_max(of);
	char *text = malloc(max);
	struct json_out jo;

	FUZZ_CHECK(text != NULL);
	json_out_init(&jo, text, max);
	ckpt_json(&jo, of);
	FUZZ_CHECK(!jo.jo_full && jo.jo_len < max);
	*len = jo.jo_len;
	return (text);
}

/* Every bar has a place on the axis, and none ends before it begins. */
static void
placed(const struct chart *ch)
{
	const struct chart_bar *cb;
	double from, to;

	for (size_t i = 0; i < ch->ch_nrows; i++)
		for (unsigned j = 0; j < ch->ch_rows[i].cr_nbars; j++) {
			cb = &ch->ch_rows[i].cr_bars[j];
			from = chart_at(ch, cb->cb_begin_ns);
			to = chart_at(ch, cb->cb_end_ns);
			FUZZ_CHECK(0 <= from && from <= to && to <= 1);
		}
}

static void
drawn(void)
{
	char *text = NULL;
	struct chart ch;
	size_t len;
	FILE *fp = open_memstream(&text, &len);

	FUZZ_CHECK(fp != NULL && chart_make(&ch, &ck));
	placed(&ch);
	FUZZ_CHECK(chart_svg(&ch, fp));
	(void)fclose(fp);
	free(text);
	chart_free(&ch);
}

/* What we have written is read, and written the same: no more is lost. */
static void
stays(void)
{
	char *once, *twice, *thrice;
	size_t len, len2, len3;

	once = written(&ck, &len);
	FUZZ_CHECK(ckpt_parse(&copy, once, len));
	twice = written(&copy, &len2);
	ckpt_free(&copy);
	FUZZ_CHECK(ckpt_parse(&copy, twice, len2));
	thrice = written(&copy, &len3);
	FUZZ_CHECK(len2 == len3 && memcmp(twice, thrice, len2) == 0);
	ckpt_free(&copy);
	free(once);
	free(twice);
	free(thrice);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *line = malloc(size + 1);

	FUZZ_CHECK(line != NULL);
	memcpy(line, data, size);
	line[size] = '\0';
	if (ckpt_parse(&ck, line, size)) {
		stays();
		drawn();
	}
	ckpt_free(&ck);
	free(line);
	return (0);
}
