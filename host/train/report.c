#include "train/report.h"

#include <stdio.h>
#include <string.h>

static const char style[] =
    ":root{color-scheme:light dark;--ink:#1b1f24;--soft:#5b6570;--rule:#d9dee3;--page:#fff;"
    "--a:#8a6d1f;--b:#1f5fa8;--good:31,120,95;--bad:190,70,45}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6e8ea;--soft:#9aa4ae;--rule:#343a40;"
    "--page:#14171a;--a:#d8b65c;--b:#7db4ee;--good:70,170,140;--bad:225,110,85}}\n"
    "body{margin:2rem auto;max-width:48rem;padding:0 1rem;background:var(--page);color:var(--ink);"
    "font:15px/1.5 system-ui,sans-serif}\n"
    "h1{margin:0;font-size:1.7rem}h2{margin:2.2rem 0 .6rem;font-size:1.15rem}"
    "h3{margin:1.4rem 0 .5rem;font-size:1rem}\n"
    ".note,small,figcaption{color:var(--soft)}.note{margin:.2rem 0}\n"
    ".tiles{display:flex;flex-wrap:wrap;gap:.4rem 2rem;margin:1.2rem 0}"
    ".tiles b{display:block;font-size:1.5rem;font-weight:600}.tiles span{color:var(--soft)}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse}"
    "th,td{padding:.25rem .8rem .25rem 0;text-align:left;vertical-align:top;"
    "border-bottom:1px solid var(--rule)}th{font-weight:600}"
    ".n{text-align:right;font-variant-numeric:tabular-nums}\n"
    ".matrix td{padding:.25rem .6rem;text-align:right;min-width:2.5rem;"
    "font-variant-numeric:tabular-nums}"
    ".right{background:rgba(var(--good),calc(.5*var(--share)))}"
    ".wrong{background:rgba(var(--bad),calc(.8*var(--share)))}\n"
    "figure{margin:0 0 1rem}svg{width:100%;height:auto;overflow:visible}"
    "svg text{fill:var(--soft);font-size:12px}.grid{stroke:var(--rule)}"
    ".stage{stroke:var(--soft);stroke-dasharray:2 3}.line{fill:none;stroke-width:1.6}"
    "path.a{stroke:var(--a)}path.b{stroke:var(--b)}svg text.a,circle.a{fill:var(--a)}"
    "svg text.b,circle.b{fill:var(--b)}\n"
    ".photos{display:grid;grid-template-columns:repeat(auto-fill,minmax(7rem,1fr));gap:1rem}"
    ".photo img{width:100%}.photo figcaption{font-size:13px;line-height:1.35;"
    "overflow-wrap:anywhere}\n"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;margin:.3rem 0}"
    "dt{color:var(--soft)}dd{margin:0;min-width:0}pre{overflow-x:auto;font-size:13px}\n";

/* A value of the config in the words of YAML. */
static void append_yaml(struct thaw_text *html, const thaw_yaml *node) {
    if (!node) {
        thaw_text_append(html, "&#8211;");
        return;
    }
    if (node->kind == THAW_YAML_SCALAR) {
        thaw_report_escape(html, node->text);
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        thaw_text_append(html, "%s", i ? ", " : "");
        if (node->kind == THAW_YAML_MAPPING) {
            thaw_report_escape(html, node->keys[i]->text);
            thaw_text_append(html, ": ");
        }
        append_yaml(html, node->items[i]);
    }
}

/* ---- the head ------------------------------------------------------------------------------- */

static void append_tiles(struct thaw_text *html, struct thaw_run_record *r, const char *part) {
    struct thaw_metrics m;
    if (!thaw_run_record_metrics(r, part, &m))
        return;
    const struct {
        const char *label;
        double value;
    } tiles[] = {
        {"top1", m.top1}, {"balanced", m.balanced}, {"macro F1", m.macro_f1}, {"loss", m.loss}};
    thaw_text_append(html, "<div class=tiles>");
    for (size_t i = 0; i < sizeof tiles / sizeof *tiles; i++)
        thaw_text_append(html, "<span><b>%.4f</b>%s %s</span>", tiles[i].value, part,
                         tiles[i].label);
    thaw_text_append(html, "<span><b>%llu</b>%s photos</span></div>\n", (unsigned long long)m.count,
                     part);
}

static void append_head(struct thaw_text *html, struct thaw_run_record *r) {
    const thaw_yaml *model = thaw_yaml_get(r->config, "model");
    const json_t *stage = json_object_get(r->kept, "stage");
    thaw_text_append(html, "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8>"
                           "<meta name=viewport content=\"width=device-width\"><title>");
    thaw_report_escape(html, r->name);
    thaw_text_append(html, "</title><style>\n%s</style></head><body>\n<h1>", style);
    thaw_report_escape(html, r->name);
    thaw_text_append(html, "</h1>\n<p class=note>");
    append_yaml(html, thaw_yaml_get(model, "graph"));
    thaw_text_append(html, ", %zu classes", r->info.class_count);
    if (stage) {
        thaw_text_append(html, ". Kept: stage ");
        thaw_report_escape(html, json_string_value(stage));
        thaw_text_append(html, ", epoch %lld, by %s",
                         (long long)json_integer_value(json_object_get(r->kept, "epoch")),
                         thaw_metric_names[r->metric]);
    }
    thaw_text_append(html, ". Trained in %.1f s.</p>\n", r->elapsed_s);
    append_tiles(html, r, "val");
    append_tiles(html, r, "test");
}

/* ---- stages --------------------------------------------------------------------------------- */

/* What freeze.json tells of one stage. */
struct proof {
    size_t trained, frozen, changed;
    bool ended; /* else there are no hashes of after it yet */
    uint64_t trained_values;
};

static struct proof read_proof(const struct thaw_run_record *r, size_t stage) {
    struct proof proof = {0};
    const char *name;
    json_t *entry;
    json_t *stages = json_object_get(r->freeze, "stages");
    json_t *tensors = json_object_get(json_array_get(stages, stage), "tensors");
    json_object_foreach(tensors, name, entry) {
        const char *before = json_string_value(json_object_get(entry, "before"));
        const char *after = json_string_value(json_object_get(entry, "after"));
        const struct thaw_weight *weight = thaw_weights_find(&r->weights, name);
        if (json_is_true(json_object_get(entry, "trained"))) {
            proof.trained++;
            proof.trained_values += weight ? thaw_weight_count(weight) : 0;
        } else {
            proof.frozen++;
            proof.changed += before && after && strcmp(before, after) != 0;
        }
        proof.ended = after != NULL;
    }
    return proof;
}

static size_t count_epochs(const struct thaw_run_record *r, size_t stage) {
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(r->epochs); i++)
        count += (size_t)json_integer_value(
                     json_object_get(json_array_get(r->epochs, i), "stage_index")) == stage;
    return count;
}

static void append_stage(struct thaw_text *html, const struct thaw_run_record *r, size_t index,
                         const thaw_yaml *stage) {
    static const char *const keys[] = {"stage", "train", "lr", "norm", "cache"};
    struct proof proof = read_proof(r, index);
    thaw_text_append(html, "<tr>");
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        thaw_text_append(html, "<td>");
        append_yaml(html, thaw_yaml_get(stage, keys[k]));
        thaw_text_append(html, "</td>");
    }
    thaw_text_append(html, "<td class=n>%zu</td>", count_epochs(r, index));
    if (proof.trained + proof.frozen == 0)
        thaw_text_append(html, "<td>not done</td><td></td></tr>\n");
    else
        thaw_text_append(html, "<td class=n>%zu, %.4g M</td><td>%zu %s</td></tr>\n", proof.trained,
                         1e-6 * (double)proof.trained_values, proof.frozen,
                         proof.changed ? "frozen, SOME CHANGED"
                         : proof.ended ? "unchanged"
                                       : "frozen, not ended");
}

static void append_stages(struct thaw_text *html, const struct thaw_run_record *r) {
    const thaw_yaml *train = thaw_yaml_get(r->config, "train");
    if (!train || train->kind != THAW_YAML_SEQUENCE)
        return;
    thaw_text_append(html, "<h2>Stages</h2>\n<div class=wide><table><thead><tr><th>stage</th>"
                           "<th>trains</th><th>lr</th><th>norm</th><th>cache</th>"
                           "<th class=n>epochs</th><th class=n>trained tensors, values</th>"
                           "<th>frozen tensors</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < train->count; i++)
        append_stage(html, r, i, train->items[i]);
    thaw_text_append(html,
                     "</tbody></table></div>\n<p class=note>lr 1x is %g at batch %d. Each "
                     "tensor's hash before and after each stage is in freeze.json.</p>\n",
                     r->info.reference_lr, r->info.reference_batch);
}

/* ---- the whole ------------------------------------------------------------------------------ */

static void append_choices(struct thaw_text *html, const struct thaw_run_record *r) {
    json_t *choices = json_load_file(r->folder.choices, 0, NULL);
    if (json_object_size(choices)) {
        thaw_text_append(html, "<h2>What was chosen by measurement</h2>\n");
        thaw_report_json(html, choices);
    }
    json_decref(choices);
}

static thaw_status append_environment(struct thaw_text *html, const struct thaw_run_record *r) {
    struct thaw_text config = {0};
    if (json_is_object(r->device)) {
        thaw_text_append(html, "<h2>Environment</h2>\n");
        thaw_report_json(html, r->device);
    }
    thaw_yaml_emit(r->config, &config);
    if (!config.failed) {
        thaw_text_append(html, "<details><summary>config.yaml</summary><pre>");
        thaw_report_escape(html, config.text);
        thaw_text_append(html, "</pre></details>\n");
    }
    thaw_text_append(html, "</body></html>\n");
    thaw_text_finish(&config);
    return html->failed ? thaw_fail(THAW_ERROR_MEMORY, "out of memory") : THAW_OK;
}

thaw_status thaw_report_write(const char *run) {
    struct thaw_run_record record;
    struct thaw_text html = {0};
    THAW_TRY(thaw_run_record_open(run, &record));
    append_head(&html, &record);
    append_stages(&html, &record);
    thaw_report_curves(&html, &record);
    append_choices(&html, &record);
    thaw_report_classes(&html, &record);
    thaw_report_mistakes(&html, &record);
    thaw_status status = append_environment(&html, &record);
    if (status == THAW_OK)
        status = thaw_file_write(record.folder.report, html.text, html.length);
    thaw_text_finish(&html);
    thaw_run_record_finish(&record);
    return status;
}
