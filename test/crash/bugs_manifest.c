/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bugs_manifest.h"

#include <string.h>

#include "event.h"
#include "format/format.h"

#define BELOW EVENT_ARCHIVE "/"

static bool writes(const struct work *w, const struct trace_event *e)
{
    return event_op(w, e) == WORK_MANIFEST;
}

bool bugs_manifest_text_sync(const struct work *w, const struct trace_event *e)
{
    return writes(w, e) && event_syncs(e) && event_below(w, e, BELOW FORMAT_MANIFEST_NAME);
}

bool bugs_manifest_digests_sync(const struct work *w, const struct trace_event *e)
{
    return writes(w, e) && event_syncs(e) && event_below(w, e, BELOW FORMAT_DIGESTS_NAME);
}

bool bugs_manifest_name_sync(const struct work *w, const struct trace_event *e)
{
    return writes(w, e) && event_syncs(e) && strcmp(event_path(w, e), EVENT_ARCHIVE) == 0;
}

bool bugs_manifest_descent_sync(const struct work *w, const struct trace_event *e)
{
    return writes(w, e) && event_syncs(e) && event_below(w, e, BELOW FORMAT_DESCENT_NAME);
}
