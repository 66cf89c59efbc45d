/* Wrong .cfg and .weights files: the whole message, which names file, line, section and key. */
#include <stdlib.h>
#include <string.h>

#include "io/darknet/darknet.h"
#include "support/darknet.h"

#define NET "[net]\nwidth=8\nheight=8\nchannels=3\n" /* four lines */
#define CONV "[convolutional]\nfilters=4\nsize=3\nactivation=leaky\n"

static thaw_status import_text(const char *cfg, const char *until) {
    const struct thaw_darknet_options options = {.name = "n", .until = until};
    struct thaw_darknet_bytes bytes = {(const unsigned char *)cfg, strlen(cfg), "n.cfg"},
                              none = {0};
    struct thaw_darknet_import import;
    thaw_status status = thaw_darknet_import_bytes(&bytes, &none, &options, &import);
    if (status == THAW_OK)
        thaw_darknet_import_finish(&import);
    return status;
}

struct wrong {
    const char *cfg, *message, *hint; /* hint NULL: not looked at */
    const char *until;
};

static void expect_messages(const struct wrong *wrong, size_t count) {
    for (size_t i = 0; i < count; i++) {
        thaw_status status = import_text(wrong[i].cfg, wrong[i].until);
        assert_true(status == THAW_ERROR_INPUT || status == THAW_ERROR_UNSUPPORTED);
        assert_string_equal(thaw_error_message(), wrong[i].message);
        if (wrong[i].hint)
            assert_string_equal(thaw_error_hint(), wrong[i].hint);
    }
}
#define EXPECT_MESSAGES(array) expect_messages((array), sizeof(array) / sizeof *(array))

static void text_that_is_no_cfg(void **state) {
    (void)state;
    const struct wrong wrong[] = {
        {"", "n.cfg: the file has no sections"},
        {"# only\n ; comments\n\n", "n.cfg: the file has no sections"},
        {"width=8\n", "n.cfg:1: 'width=8' stands before the first section"},
        {"[net\n", "n.cfg:1: expected a section such as [convolutional], found '[net'"},
        {"[]\n", "n.cfg:1: expected a section such as [convolutional], found '[]'"},
        {"[net]\nwidth\n", "n.cfg:2: expected key=value, found 'width'"},
        {"[net]\nwidth=\n", "n.cfg:2: expected key=value, found 'width='"},
        {"[net]\n=3\n", "n.cfg:2: expected key=value, found '=3'"},
        {"[net]\nwidth=8\x01\n", "n.cfg:2: the byte 0x01 is no text of a .cfg file"},
        {CONV, "n.cfg:1: [convolutional] comes first; a Darknet network starts with [net]"},
        {NET, "n.cfg: the network has no layers"},
    };
    EXPECT_MESSAGES(wrong);
    assert_int_equal(import_text(NET CONV, NULL), THAW_OK);
    /* white space counts nowhere, comments may follow a value */
    assert_int_equal(import_text("\r\n [ net ]\r\n width = 8 # pixels\r\nheight=8\n\tchannels = 3\n"
                                 ";size=1\n" CONV,
                                 NULL),
                     THAW_OK);
}

static void wrong_keys(void **state) {
    (void)state;
    const struct wrong wrong[] = {
        {NET "filtres=4\n" CONV, "n.cfg:5: [net] has no key 'filtres'",
         "take the line out if it matters to Darknet's training alone"},
        {NET CONV "filtres=4\n", "n.cfg:9: [convolutional] has no key 'filtres' (nearest: "
                                 "'filters')"},
        {NET CONV "[maxpool]\nsise=2\n", "n.cfg:10: [maxpool] has no key 'sise' (nearest: 'size')"},
        {NET CONV "stopbackwards=1\n", "n.cfg:9: [convolutional] has no key 'stopbackwards' "
                                       "(nearest: 'stopbackward')"},
        {NET "[convolutional]\nfilters=4\nsize=x\n",
         "n.cfg:7: [convolutional] size=x: expected a whole number from 1 to 255"},
        {NET "[convolutional]\nfilters=4\nsize=3.5\n",
         "n.cfg:7: [convolutional] size=3.5: expected a whole number from 1 to 255"},
        {NET "[convolutional]\nfilters=0\n",
         "n.cfg:6: [convolutional] filters=0: expected a whole number from 1 to 1048576"},
        {NET "[convolutional]\nfilters=99999999999999999999\n",
         "n.cfg:6: [convolutional] filters=99999999999999999999: expected a whole number from 1 to "
         "1048576"},
        {NET CONV "[dropout]\nprobability=nan\n",
         "n.cfg:10: [dropout] probability=nan: expected a number from 0 to 0.999"},
        {NET "[convolutional]\nfilters=4\nactivation=leeky\n",
         "n.cfg:7: [convolutional] activation=leeky is none of Darknet's (nearest: 'leaky')"},
        {NET "[convolutional]\nfilters=4\nactivation=plse\n",
         "n.cfg:7: [convolutional] activation=plse: Thaw does not have it"},
        {NET "[convolutional]\nfilters=4\nxnor=1\n",
         "n.cfg:7: [convolutional] xnor=1: Thaw has this only as xnor=0"},
        {NET "[convolutional]\nfilters=4\nshare_index=-2\n",
         "n.cfg:7: [convolutional] share_index: Thaw's layers share no weights"},
        {NET "[convolutional]\nfilters=4\ngroups=2\n",
         "n.cfg:7: [convolutional] groups=2 divides not both its 3 input channels and its 4 "
         "filters"},
        {NET "[convolutional]\nfilters=4\nsize=3\ndilation=2\nactivation=relu\n",
         "n.cfg:8: [convolutional] dilation=2 needs an odd size, pad=1 and stride=1"},
        {NET "[convolutional]\nfilters=4\nsize=9\n",
         "n.cfg:5: [convolutional] leaves nothing of its input of 3 x 8 x 8 (channels, height, "
         "width)"},
    };
    EXPECT_MESSAGES(wrong);
}

static void wrong_pictures(void **state) {
    (void)state;
    const struct wrong wrong[] = {
        {"[net]\nwidth=8\nchannels=3\n" CONV,
         "n.cfg:1: [net] needs 'height=': Thaw takes pictures"},
        {"[net]\nwidth=8\nheight=9\nchannels=3\n" CONV,
         "n.cfg:2: [net] pictures of 8 x 9: Thaw's are square; set both to the same"},
        {"[net]\nwidth=8\nheight=8\nchannels=2\n" CONV,
         "n.cfg:4: [net] pictures have 3 channels, or 1 (grey)"},
        {"[net]\nwidth=8\nheight=8\nchannels=4\n" CONV,
         "n.cfg:4: [net] channels=4: expected a whole number from 1 to 3"},
        {"[net]\ninputs=256\n" CONV, "n.cfg:2: [net] inputs=256: Thaw has this only as inputs=0"},
        {NET "learning_rate=fast\n" CONV,
         "n.cfg:5: [net] learning_rate=fast: expected a number from 0 to 1000"},
        {NET CONV "[crop]\ncrop_height=4\ncrop_width=4\n",
         "n.cfg:9: [crop] can only be the first layer"},
        {NET "[crop]\ncrop_height=4\ncrop_width=6\n" CONV,
         "n.cfg:6: [crop] pictures of 6 x 4: Thaw's are square"},
        {NET "[crop]\ncrop_height=9\ncrop_width=9\n" CONV,
         "n.cfg:6: [crop] crop_height=9: expected a whole number from 1 to 8"},
    };
    EXPECT_MESSAGES(wrong);
}

static void layers_that_thaw_has_not(void **state) {
    (void)state;
    const struct wrong wrong[] = {
        {NET CONV CONV "[yolo]\nmask=0\n",
         "n.cfg:13: [yolo] is a detection head; Thaw imports what lies below it",
         "--until 2 stops before it, a smaller number (Darknet counts layers from 0) stops "
         "earlier"},
        {NET CONV "[reorg]\nstride=4\n",
         "n.cfg:10: [reorg] stride=4 does not divide its input of 4 x 6 x 6 (channels, height, "
         "width)"},
        {NET CONV "[lstm]\noutput=2\n", "n.cfg:9: [lstm] is a layer that Thaw does not have",
         "--until 1 stops before it, a smaller number (Darknet counts layers from 0) stops "
         "earlier"},
        {NET "[convolutionl]\nfilters=1\n",
         "n.cfg:5: [convolutionl] is no layer of Darknet's (nearest: [convolutional])"},
        {NET "[net]\n" CONV, "n.cfg:5: [net] is no layer of Darknet's"},
        {NET CONV "[softmax]\n" CONV,
         "n.cfg:9: [softmax] stands inside the network, Thaw imports it only at its end"},
        {NET CONV "[softmax]\ntree=9k.tree\n",
         "n.cfg:10: [softmax] tree: Thaw has no hierarchies of classes"},
        {NET CONV, "n.cfg: there is no section [yolo] to stop at", NULL, "yolo"},
        {NET CONV, "n.cfg: cannot stop at '0': expected a layer from 1 to 1", NULL, "0"},
        {NET CONV, "n.cfg: cannot stop at '2': expected a layer from 1 to 1", NULL, "2"},
        {NET CONV, "n.cfg: cannot stop at 'convolutional': expected a layer from 1 to 1", NULL,
         "convolutional"},
    };
    EXPECT_MESSAGES(wrong);
}

static void wrong_references(void **state) {
    (void)state;
    const struct wrong wrong[] = {
        {NET CONV "[route]\n", "n.cfg:9: [route] needs 'layers=', the layer to read"},
        {NET CONV "[route]\nlayers=1\n",
         "n.cfg:10: [route] layers: 1 is none of the 1 layers before "
         "this one"},
        {NET CONV "[route]\nlayers=-2\n",
         "n.cfg:10: [route] layers: -2 is none of the 1 layers before this one"},
        {NET CONV "[route]\nlayers=-1;0\n",
         "n.cfg:10: [route] layers=-1;0: expected whole numbers with commas between"},
        {NET CONV "[route]\nlayers=0,0,0,0,0,0,0,0,0\n",
         "n.cfg:10: [route] layers=0,0,0,0,0,0,0,0,0: at most 8 layers"},
        {NET CONV CONV "[route]\nlayers=-1,-2\n",
         "n.cfg:14: [route] its layers have maps of 4 x 4 and 6 x 6"},
        {NET CONV "[route]\nlayers=-1\ngroups=3\n",
         "n.cfg:11: [route] groups=3 divides not the 4 channels of its input"},
        {NET CONV "[route]\nlayers=-1\ngroups=2\ngroup_id=2\n",
         "n.cfg:12: [route] group_id=2: expected a whole number from 0 to 1"},
        {NET CONV "[conv]\nfilters=4\nsize=2\nactivation=relu\n[shortcut]\nfrom=-2\n",
         "n.cfg:14: [shortcut] adds 4 x 6 x 6 (channels, height, width) to 4 x 5 x 5"},
        {"[net]\nwidth=7\nheight=7\nchannels=3\n" CONV /* 5 -> 3: Darknet would add a corner */
         "[conv]\nfilters=4\nsize=3\nstride=2\npad=1\nactivation=relu\n[shortcut]\nfrom=-2\n",
         "n.cfg:16: [shortcut] adds 4 x 5 x 5 (channels, height, width) to 4 x 3 x 3"},
        {NET CONV "[shortcut]\nfrom=-1\nweights_type=per_channel\n",
         "n.cfg:11: [shortcut] weights_type=per_channel: Thaw has this only as weights_type=none"},
        {NET CONV "[scale_channels]\nfrom=-1\n",
         "n.cfg:10: [scale_channels] scales 4 channels with 4 x 6 x 6 numbers (channels, height, "
         "width), expected 4 x 1 x 1"},
        {NET "[crop]\ncrop_height=8\ncrop_width=8\n" CONV "[route]\nlayers=0\n",
         "n.cfg:13: [route] layers: 0 is the picture itself"},
    };
    EXPECT_MESSAGES(wrong);
}

static void what_an_op_cannot_do(void **state) {
    (void)state;
    assert_fails(import_text(NET "[maxpool]\nsize=2\nstride=2\npadding=6\n" CONV, NULL),
                 THAW_ERROR_INPUT, "n.cfg: the network does not fit Thaw: imported:11:");
}

/* ---- weights -------------------------------------------------------------------------------- */

/* conv1: 4 biases, 4 + 4 + 4 of batch norm, 108 weights; fc1: 2 biases, 288 weights; header 20 */
static struct darknet *small(void) {
    struct darknet *net = darknet_new(3, 8, 0, 2);
    DARKNET_CONV(net, .filters = 4, .size = 3, .batch_normalize = true, .activation = "leaky");
    darknet_connected(net, 2, false, "linear");
    return net;
}

static thaw_status import_weights(const struct darknet *net, const void *bytes, size_t size_bytes,
                                  const char *until) {
    const struct thaw_darknet_options options = {.name = "n", .until = until};
    struct thaw_darknet_bytes cfg = {(const unsigned char *)net->cfg.text, net->cfg.length,
                                     "n.cfg"};
    struct thaw_darknet_bytes weights = {bytes, size_bytes, "n.weights"};
    struct thaw_darknet_import import;
    thaw_status status = thaw_darknet_import_bytes(&cfg, &weights, &options, &import);
    if (status == THAW_OK)
        thaw_darknet_import_finish(&import);
    return status;
}

static void truncated_weights(void **state) {
    (void)state;
    static const struct {
        size_t size_bytes;
        const char *message;
    } cuts[] = {
        {3, "n.weights: truncated: 3 bytes are no header"},
        {19, "n.weights: truncated: 19 bytes, the header has 20"},
        {20, "n.weights: n.cfg:8: [convolutional] the file ends here: 'conv1.bn.bias' takes 4 "
             "numbers, 0 are left"},
        {20 + 16 + 15, "n.weights: n.cfg:8: [convolutional] the file ends here: 'conv1.bn.weight' "
                       "takes 4 numbers, 3 are left"},
        {20 + 4 * 123,
         "n.weights: n.cfg:8: [convolutional] the file ends here: 'conv1.conv.weight' "
         "takes 108 numbers, 107 are left"},
        {20 + 4 * 124, "n.weights: n.cfg:14: [connected] the file ends here: 'fc1.bias' takes 2 "
                       "numbers, 0 are left"},
        {20 + 4 * 413 + 3,
         "n.weights: n.cfg:14: [connected] the file ends here: 'fc1.weight' takes "
         "288 numbers, 287 are left"},
    };
    struct darknet *net = small();
    assert_int_equal(net->weights.length, 20 + 4 * 414);
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        assert_int_equal(import_weights(net, net->weights.text, cuts[i].size_bytes, NULL),
                         THAW_ERROR_INPUT);
        assert_string_equal(thaw_error_message(), cuts[i].message);
        if (cuts[i].size_bytes >= 20)
            assert_string_equal(thaw_error_hint(), "do n.cfg and n.weights belong together?");
    }
    /* the numbers of the layers that are kept suffice */
    assert_ok(import_weights(net, net->weights.text, 20 + 4 * 124, "1"));
    assert_ok(import_weights(net, net->weights.text, net->weights.length, "1"));
    darknet_free(net);
}

static void other_weights(void **state) {
    (void)state;
    struct darknet *net = small();
    thaw_text_append_bytes(&net->weights, "12345678", 8);
    assert_int_equal(import_weights(net, net->weights.text, net->weights.length, NULL),
                     THAW_ERROR_INPUT);
    assert_string_equal(thaw_error_message(),
                        "n.weights: 8 bytes (2 numbers) are left behind the last layer of n.cfg");
    float *numbers = (float *)(void *)net->weights.text;
    numbers[5 + 13] = -0.25f; /* a variance */
    assert_int_equal(import_weights(net, numbers, net->weights.length - 8, NULL), THAW_ERROR_INPUT);
    assert_string_equal(thaw_error_message(), "n.weights: n.cfg:8: [convolutional] "
                                              "'conv1.bn.running_var' would hold a variance of "
                                              "-0.25");
    memcpy(numbers, "\x80\x02\x8a\x0al\xfc\x9c\x46", 8);
    assert_int_equal(import_weights(net, numbers, net->weights.length - 8, NULL), THAW_ERROR_INPUT);
    assert_string_equal(thaw_error_message(),
                        "n.weights: no Darknet weights: their first numbers are a version, here "
                        "they are 176816768 and 1184693356");
    darknet_free(net);
}

static void files_that_are_not_there(void **state) {
    (void)state;
    const struct thaw_darknet_options options = {.name = "n"};
    struct thaw_darknet_import import;
    assert_fails(thaw_darknet_import_files("no-such.cfg", NULL, &options, &import),
                 THAW_ERROR_INPUT, "no-such.cfg");
    assert_fails(thaw_darknet_import_files("meson.build", "no-such.weights", &options, &import),
                 THAW_ERROR_INPUT, "no-such.weights");
    assert_fails(thaw_darknet_import_files("meson.build", NULL, &options, &import),
                 THAW_ERROR_INPUT, "meson.build:1: ");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_that_is_no_cfg),      cmocka_unit_test(wrong_keys),
        cmocka_unit_test(wrong_pictures),           cmocka_unit_test(layers_that_thaw_has_not),
        cmocka_unit_test(wrong_references),         cmocka_unit_test(what_an_op_cannot_do),
        cmocka_unit_test(truncated_weights),        cmocka_unit_test(other_weights),
        cmocka_unit_test(files_that_are_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
