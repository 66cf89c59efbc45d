/* thaw report: a page that stands alone, well formed whatever the names are. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/text.h"
#include "support/process.h"
#include "support/tiny.h"
#include "train/report.h"

#define DEPTH_MAX 64

static int set_up(void **state) {
    (void)state;
    tiny_make();
    return 0;
}

/* The page's text, to be freed. */
static char *read_page(const char *run) {
    struct thaw_map map;
    assert_ok(thaw_map_open(tiny_run_file(run, "report.html"), &map));
    char *text = malloc(map.size_bytes + 1);
    assert_non_null(text);
    memcpy(text, map.bytes, map.size_bytes);
    text[map.size_bytes] = '\0';
    thaw_map_close(&map);
    return text;
}

/* Every tag is closed in turn, but those that have no content. */
static void expect_balanced(const char *page) {
    char open[DEPTH_MAX][16];
    int depth = 0;
    for (const char *c = page; (c = strchr(c, '<')); c++) {
        bool closes = c[1] == '/';
        char name[16] = "";
        size_t length = 0;
        const char *end = strchr(c, '>');
        assert_non_null(end);
        for (const char *n = c + 1 + closes; isalnum((unsigned char)*n) && length < 15; n++)
            name[length++] = *n;
        if (c[1] == '!' || end[-1] == '/' || !strcmp(name, "meta"))
            continue;
        if (!closes) {
            assert_true(length > 0 && depth < DEPTH_MAX);
            memcpy(open[depth++], name, sizeof name);
        } else if (!depth || strcmp(open[--depth], name) != 0) {
            fail_msg("</%s> closes nothing, at %.60s", name, c);
        }
    }
    assert_int_equal(depth, 0);
}

static void written_by_training(void **state) {
    (void)state;
    struct test_process train = TEST_THAW(NULL, "train", tiny_experiment("paged", tiny_stages, ""));
    if (train.exit_code)
        fail_msg("train: %s", train.errors);
    test_process_finish(&train);
    char *page = read_page("paged");
    expect_balanced(page);
    static const char *const parts[] = {"<title>paged</title>",
                                        "Stages",
                                        "warmup",
                                        "Learning curves",
                                        "<svg",
                                        "val top1",
                                        "Confusion",
                                        "vertical",
                                        "Environment",
                                        "config.yaml",
                                        "unchanged"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strstr(page, parts[i]))
            fail_msg("the page has no '%s'", parts[i]);
    assert_null(strstr(page, "http")); /* nothing is fetched */
    assert_null(strstr(page, "<script"));
    assert_null(strstr(page, "SOME CHANGED"));
    assert_null(strstr(page, "nan"));
    free(page);
}

/* Names of classes, photos and choices are text, not markup. */
static void escapes_text(void **state) {
    (void)state;
    struct thaw_text html = {0};
    thaw_report_escape(&html, "<b>&\"x\"\x01\xff</b>");
    assert_string_equal(html.text, "&lt;b&gt;&amp;&quot;x&quot;?\xEF\xBF\xBD&lt;/b&gt;");
    thaw_text_finish(&html);
    static const char predictions[] = "set,path,label,predicted,probability\n"
                                      "val,/nowhere/<i>.png,vertical,horizontal,0.75\n"
                                      "val,/nowhere/b.png,vertical,horizontal,0.99\n"
                                      "val,/nowhere/c.png,vertical,vertical,1\n";
    static const char choices[] = "{\"tune\": {\"<depth>\": {\"chosen\": \"2\", \"spent\": false,\n"
                                  "\"candidates\": [{\"depth\": \"0\", \"folds\": [0.5, null]}]}}}";
    assert_ok(thaw_file_write(tiny_run_file("paged", "predictions.csv"), predictions,
                              strlen(predictions)));
    assert_ok(thaw_file_write(tiny_run_file("paged", "auto.json"), choices, strlen(choices)));
    struct test_process report = TEST_THAW(NULL, "report", tiny_path("runs/paged"));
    assert_int_equal(report.exit_code, 0);
    assert_non_null(strstr(report.output, "runs/paged/report.html"));
    test_process_finish(&report);
    char *page = read_page("paged");
    expect_balanced(page);
    assert_non_null(strstr(page, "2 of the validation part are wrong"));
    assert_true(strstr(page, "b.png") < strstr(page, "&lt;i&gt;.png")); /* the surer one first */
    assert_null(strstr(page, "c.png"));
    assert_non_null(strstr(page, "&lt;depth&gt;"));
    assert_non_null(strstr(page, "chosen by measurement"));
    free(page);
}

/* A picture that can be read is in the page. */
static void shows_photos(void **state) {
    (void)state;
    char text[512];
    snprintf(text, sizeof text,
             "set,path,label,predicted,probability\nval,%s,vertical,horizontal,0.75\n",
             tiny_path("photos/vertical/00.png"));
    assert_ok(thaw_file_write(tiny_run_file("paged", "predictions.csv"), text, strlen(text)));
    assert_ok(thaw_report_write(tiny_path("runs/paged")));
    char *page = read_page("paged");
    expect_balanced(page);
    assert_non_null(strstr(page, "data:image/jpeg;base64,/9j/")); /* FF D8 FF: a JPEG file */
    free(page);
}

/* What a run has not got is left out; what is no run is an error. */
static void partial_and_wrong(void **state) {
    (void)state;
    static const char *const files[] = {"predictions.csv", "evaluation.json", "device.json",
                                        "freeze.json", "auto.json"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        unlink(tiny_run_file("paged", files[i]));
    assert_ok(thaw_file_write(tiny_run_file("paged", "device.json"), "{", 1));
    assert_ok(thaw_report_write(tiny_path("runs/paged")));
    char *page = read_page("paged");
    expect_balanced(page);
    assert_null(strstr(page, "Most confidently wrong"));
    assert_null(strstr(page, "Environment"));
    free(page);
    test_expect_exit(TEST_THAW(NULL, "report"), 2, "needs an argument");
    test_expect_exit(TEST_THAW(NULL, "report", tiny_path("nowhere")), 2, "is no run folder");
    test_expect_exit(TEST_THAW(NULL, "report", tiny_path("photos")), 2, "is no run folder");
    unlink(tiny_run_file("paged", "model.safetensors"));
    test_expect_exit(TEST_THAW(NULL, "report", tiny_path("runs/paged")), 2, "no weights yet");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_by_training),
        cmocka_unit_test(escapes_text),
        cmocka_unit_test(shows_photos),
        cmocka_unit_test(partial_and_wrong),
    };
    return cmocka_run_group_tests_name("cli/report", tests, set_up, NULL);
}
