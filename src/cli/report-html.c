/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/report.h"
#include "cli/template.h"

/* report.html, made into a string by the build. */
static const char report_page[] =
#include "report-page.inc"
    ;

char *report_to_html(json_t *report)
{
    json_auto_t *view = report_view(report);

    return template_fill(report_page, view);
}
