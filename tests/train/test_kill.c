/* kill -9 of a real `thaw train` at random moments: every run, resumed (and perhaps killed again),
 * ends with the files of the run that nobody disturbed.
 *
 * The moments are drawn with a fixed seed, as counts of files that appear in the run folder or as a
 * delay from the start, so that they do not depend on the machine's speed; what the folder says
 * after each kill tells which phase it hit. Runs go on until enough kills landed and every phase
 * had one. */
#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/file.h"
#include "core/rng.h"
#include "io/weights.h"
#include "support/process.h"
#include "support/tiny.h"
#include "train/verify.h"

enum {
    KILLS_MIN = 20,
    CHAINS_MAX = 60,
    KILLS_OF_A_CHAIN = 3,
    STEPS_PER_EPOCH = 3,
    LAST_STAGE = 5,
    CHECKPOINTS_BEFORE_PILOTS = 20
};

enum phase {
    SET_UP,     /* reading the experiment, data, weights, photos: no split yet */
    CACHE,      /* filling the cache of the first stage, before its first checkpoint */
    WARM_UP,    /* steps of the first stage */
    TUNING,     /* steps of a later one */
    CHOOSING,   /* pilots of the last one */
    EVALUATION, /* after the last step of an epoch, before the epoch's line */
    WRITING,    /* a file was half written */
    BETWEEN,    /* a stage was over, the next had no step yet */
    PHASES
};
static const char *const phase_names[PHASES] = {"set-up",  "cache filling", "warm-up",
                                                "tuning",  "pilots",        "evaluation",
                                                "writing", "between stages"};

/* Dropout, momentum, batch norm in all modes, augmentation, views, warm-up; a stage that thaws with
 * one moving average over its phases, statistics measured anew, a depth chosen by pilots, early
 * stopping. Steps: 6, then 3 phases x 3, none, then 3 to 9. */
static const char experiment_text[] =
    "output: %s/runs\n"
    "model: {graph: %s/tiny.yaml, head: {type: last, dropout: 0.2}}\n"
    "batch: 12\n"
    "data: {format: folder, root: photos, val: 0.25}\n"
    "optimizer: {type: sgd, momentum: 0.9, weight_decay: 1.0e-3}\n"
    "augment: [{random_resized_crop: {scale: [0.5, 1]}}, hflip]\n"
    "train:\n"
    "  - {stage: warmup, train: [head], lr: 1x, epochs: 2, cache: {views: 2}}\n"
    "  - {stage: thaw, train: [all], lr: {head: 2x, body: 1x, stem: 1x}, epochs: 3, norm: train,\n"
    "     unfreeze: {}, average: {type: ema, decay: 0.8}, schedule: {type: cosine, warmup: 4}}\n"
    "  - {stage: measure, train: [body], norm: refresh}\n"
    "  - {stage: choose, train: [auto, head], auto: {depth: [0, 1], folds: 2, epochs: 1}, lr: "
    "0.5x,\n"
    "     epochs: 3, norm: eval, early_stop: {metric: val.loss, patience: 1},\n"
    "     optimizer: {type: adamw}}\n";

static int set_up(void **state) {
    (void)state;
    char text[2048];
    tiny_make();
    snprintf(text, sizeof text, experiment_text, test_directory(), test_directory());
    tiny_write("kill.yaml", text);
    return 0;
}

/* ---- a child to be killed ------------------------------------------------------------------- */

/* When to kill: at the `count`th file of a kind, `delay_us` later. */
struct moment {
    uint32_t mask; /* of inotify: IN_CREATE (begins to be written), IN_MOVED_TO (is written) */
    const char *file;
    int count; /* 0: counted from the start of the process */
    int delay_us;
};

static pid_t start(const char *name, int every) {
    char set_name[64], set_every[64];
    snprintf(set_name, sizeof set_name, "name=%s", name);
    snprintf(set_every, sizeof set_every, "checkpoint.every=%d steps", every);
    pid_t child = fork();
    if (child == 0) {
        int log = open(tiny_path("kill.log"), O_WRONLY | O_CREAT | O_TRUNC, 0666);
        dup2(log, STDOUT_FILENO);
        dup2(log, STDERR_FILENO);
        execl(getenv("THAW_BINARY"), "thaw", "train", tiny_path("kill.yaml"), "--resume", "-q",
              "--set", set_name, "--set", set_every, (char *)NULL);
        _exit(127);
    }
    assert_true(child > 0);
    return child;
}

/* Counts the events of the watch that `moment` is about. */
static int matching(int watch, const struct moment *moment) {
    _Alignas(struct inotify_event) char bytes[8192];
    ssize_t length = read(watch, bytes, sizeof bytes);
    int found = 0;
    for (ssize_t at = 0; at < length;) {
        const struct inotify_event *event = (const struct inotify_event *)(bytes + at);
        found += event->len && (event->mask & moment->mask) &&
                 !strncmp(event->name, moment->file, strlen(moment->file));
        at += (ssize_t)(sizeof *event + event->len);
    }
    return found;
}

/* True when the child was killed; false when it came to its end before. */
static bool run_until(const char *name, int every, const struct moment *moment) {
    int status = 0, seen = 0;
    int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    assert_ok(thaw_path_make_directories(tiny_run_file(name, "")));
    assert_true(inotify_add_watch(watch, tiny_run_file(name, ""), IN_CREATE | IN_MOVED_TO) >= 0);
    pid_t child = start(name, every), ended = 0;
    while (seen < moment->count && !ended) {
        struct pollfd wait = {watch, POLLIN, 0};
        if (poll(&wait, 1, 20) > 0)
            seen += matching(watch, moment);
        else
            ended = waitpid(child, &status, WNOHANG);
    }
    if (!ended) {
        usleep((useconds_t)moment->delay_us);
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
    }
    close(watch);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return true;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        struct thaw_map log;
        assert_ok(thaw_map_open(tiny_path("kill.log"), &log));
        fail_msg("%s: status %d: %.*s", name, status, (int)log.size_bytes, (const char *)log.bytes);
    }
    return false;
}

/* ---- which phase a kill hit ----------------------------------------------------------------- */

static bool has_partial(const char *name) {
    DIR *directory = opendir(tiny_run_file(name, ""));
    bool found = false;
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));)
        found |= strstr(entry->d_name, THAW_ATOMIC_PARTIAL) != NULL;
    closedir(directory);
    return found;
}

/* The epochs of a stage that have a line, of a file that is written whole. */
static int epochs_recorded(const char *name, int stage) {
    int count = 0;
    FILE *file = fopen(tiny_run_file(name, "metrics.jsonl"), "r");
    char line[4096];
    while (file && fgets(line, sizeof line, file)) {
        json_t *object = json_loads(line, 0, NULL);
        count += json_integer_value(json_object_get(object, "stage_index")) == stage;
        json_decref(object);
    }
    if (file)
        fclose(file);
    return count;
}

static void count_phases(const char *name, int hits[PHASES]) {
    hits[WRITING] += has_partial(name);
    if (!thaw_path_exists(tiny_run_file(name, "split.csv"))) {
        hits[SET_UP]++;
        return;
    }
    if (!thaw_path_exists(tiny_run_file(name, "last.safetensors"))) {
        hits[CACHE]++;
        return;
    }
    struct thaw_weights last;
    assert_ok(thaw_weights_open(tiny_run_file(name, "last.safetensors"), &last));
    json_t *state = json_loads(thaw_weights_get_metadata(&last, "thaw.state"), 0, NULL);
    int stage = (int)json_integer_value(json_object_get(state, "stage"));
    int epoch = (int)json_integer_value(json_object_get(state, "epoch"));
    int step = (int)json_integer_value(json_object_get(state, "step"));
    bool begun = json_is_true(json_object_get(state, "stage_begun"));
    json_t *choices = json_loads(thaw_weights_get_metadata(&last, "thaw.auto"), 0, NULL);
    bool chosen = json_object_size(choices) > 0;
    json_decref(state);
    json_decref(choices);
    thaw_weights_finish(&last);
    if (!begun && stage == LAST_STAGE && !chosen)
        hits[CHOOSING]++;
    else if (!begun)
        hits[BETWEEN]++;
    else if (step == STEPS_PER_EPOCH && epochs_recorded(name, stage) == epoch)
        hits[EVALUATION]++;
    else
        hits[stage ? TUNING : WARM_UP]++;
}

/* ---- what must be the same ------------------------------------------------------------------ */

static void expect_same_tensors(const char *name, const char *file) {
    struct thaw_weights a, b;
    assert_ok(thaw_weights_open(tiny_run_file(name, file), &a));
    assert_ok(thaw_weights_open(tiny_run_file("whole", file), &b));
    assert_int_equal(a.count, b.count);
    for (size_t i = 0; i < a.count; i++) {
        const struct thaw_weight *other = thaw_weights_find(&b, a.items[i].name);
        assert_non_null(other);
        if (memcmp(a.items[i].data, other->data, a.items[i].size_bytes) != 0)
            fail_msg("%s of %s/%s is not that of the undisturbed run", a.items[i].name, name, file);
    }
    thaw_weights_finish(&a);
    thaw_weights_finish(&b);
}

static void expect_same_bytes(const char *name, const char *file) {
    struct thaw_map a, b;
    assert_ok(thaw_map_open(tiny_run_file(name, file), &a));
    assert_ok(thaw_map_open(tiny_run_file("whole", file), &b));
    if (a.size_bytes != b.size_bytes || memcmp(a.bytes, b.bytes, a.size_bytes) != 0)
        fail_msg("%s/%s is not that of the undisturbed run", name, file);
    thaw_map_close(&a);
    thaw_map_close(&b);
}

/* Lines apart from what is measured by the clock. */
static json_t *metrics_of(const char *name) {
    json_t *lines = json_array();
    FILE *file = fopen(tiny_run_file(name, "metrics.jsonl"), "r");
    char line[4096];
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        json_t *object = json_loads(line, 0, NULL);
        assert_non_null(object);
        json_object_del(object, "images_per_s");
        json_object_del(object, "elapsed_s");
        json_array_append_new(lines, object);
    }
    fclose(file);
    return lines;
}

static void expect_undisturbed(const char *name) {
    expect_same_tensors(name, "last.safetensors");
    expect_same_bytes(name, "model.safetensors");
    expect_same_bytes(name, "freeze.json");
    expect_same_bytes(name, "split.csv");
    json_t *a = metrics_of(name), *b = metrics_of("whole");
    assert_true(json_array_size(a) > 0);
    assert_true(json_equal(a, b));
    json_decref(a);
    json_decref(b);
    assert_false(has_partial(name));
    struct thaw_verify verify;
    assert_ok(thaw_verify_run(tiny_run_file(name, ""), NULL, &verify));
    assert_int_equal(verify.failure_count, 0);
    thaw_verify_finish(&verify);
}

/* ---- the test ------------------------------------------------------------------------------- */

/* A moment that aims at a phase; where it lands the folder tells. Checkpoints of every step: the
 * first stage writes 6 and one at its end, the three that thaw 3 and one. */
static struct moment draw(struct thaw_rng *rng, enum phase aim) {
    static const char last[] = "last.safetensors";
    int delay_us = (int)thaw_rng_below(rng, 3000);
    int any = 1 + (int)thaw_rng_below(rng, 6);
    switch (aim) {
    case SET_UP:
        return (struct moment){0, "", 0, 20 * delay_us};
    case CACHE:
        return (struct moment){IN_MOVED_TO, "split.csv", 1, delay_us};
    case WARM_UP:
        return (struct moment){IN_MOVED_TO, last, any, delay_us};
    case TUNING:
        return (struct moment){IN_MOVED_TO, last, 6 + 2 * any, delay_us};
    case CHOOSING:
        return (struct moment){IN_MOVED_TO, last, CHECKPOINTS_BEFORE_PILOTS, 2 * delay_us};
    case EVALUATION:
        return (struct moment){IN_MOVED_TO, last, any > 3 ? 6 : 3, 0};
    case WRITING:
        return (struct moment){IN_CREATE, any > 3 ? last : "model.safetensors", 1 + any % 4, 0};
    default:
        return (struct moment){IN_MOVED_TO, last, any > 3 ? 15 : 7, delay_us / 4};
    }
}

/* A run with up to KILLS_OF_A_CHAIN kills; tells how many landed. */
static int run_chain(int index, int hits[PHASES]) {
    struct thaw_rng rng = thaw_rng_init(20, THAW_RNG_TEST, 7, (uint32_t)index);
    char name[32];
    int kills = 0;
    snprintf(name, sizeof name, "killed%d", index);
    for (; kills < KILLS_OF_A_CHAIN; kills++) {
        /* each chain aims at another phase first, and anywhere then */
        enum phase aim = (enum phase)((kills ? (int)thaw_rng_below(&rng, PHASES) : index) % PHASES);
        struct moment moment = draw(&rng, aim);
        int every = kills ? 1 + (int)thaw_rng_below(&rng, 3) : 1;
        if (!run_until(name, every, &moment))
            break;
        count_phases(name, hits);
    }
    static const struct moment never = {IN_CREATE, "no such file", 1, 0};
    assert_false(run_until(name, 1, &never));
    expect_undisturbed(name);
    return kills;
}

static bool hit_all(const int hits[PHASES]) {
    for (int p = 0; p < PHASES; p++)
        if (!hits[p])
            return false;
    return true;
}

static void killed_at_any_moment_it_ends_the_same(void **state) {
    (void)state;
    int hits[PHASES] = {0}, kills = 0;
    test_expect_exit(TEST_THAW(NULL, "train", tiny_path("kill.yaml"), "-q", "--set", "name=whole"),
                     0, NULL);
    for (int i = 0; i < CHAINS_MAX && (kills < KILLS_MIN || !hit_all(hits)); i++)
        kills += run_chain(i, hits);
    for (int p = 0; p < PHASES; p++) {
        print_message("%d of %d kills: %s\n", hits[p], kills, phase_names[p]);
        if (!hits[p])
            fail_msg("no kill landed in: %s", phase_names[p]);
    }
    assert_true(kills >= KILLS_MIN);
}

int main(void) {
    /* every file is synced to its disk, which does not matter to a process that is killed */
    if (access("/dev/shm", W_OK) == 0)
        setenv("THAW_TEST_TMP", "/dev/shm", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_at_any_moment_it_ends_the_same),
    };
    return cmocka_run_group_tests_name("train/kill", tests, set_up, NULL);
}
