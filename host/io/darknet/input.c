/* [net]: what the network sees, and the rate that it was trained with. */
#include <string.h>

#include "io/darknet/net.h"

/* Darknet's ImageNet cfgs say batch=1 for testing and keep the training's 128 in a comment. */
#define TRAINING_BATCH 128

#define READ(name)                                                                                 \
    { name, THAW_KEY_READ, 0 }
#define TRAINING(name)                                                                             \
    { name, THAW_KEY_TRAINING, 0 }
static const struct thaw_darknet_key keys[] = {
    READ("width"),
    READ("height"),
    READ("channels"),
    READ("learning_rate"),
    READ("batch"),
    READ("adam"),
    {"inputs", THAW_KEY_NEUTRAL, 0},
    {"time_steps", THAW_KEY_NEUTRAL, 1},
    TRAINING("subdivisions"),
    TRAINING("momentum"),
    TRAINING("decay"),
    TRAINING("angle"),
    TRAINING("saturation"),
    TRAINING("exposure"),
    TRAINING("hue"),
    TRAINING("aspect"),
    TRAINING("burn_in"),
    TRAINING("max_batches"),
    TRAINING("policy"),
    TRAINING("power"),
    TRAINING("step"),
    TRAINING("scale"),
    TRAINING("steps"),
    TRAINING("scales"),
    TRAINING("seq_scales"),
    TRAINING("gamma"),
    TRAINING("min_crop"),
    TRAINING("max_crop"),
    TRAINING("min_ratio"),
    TRAINING("max_ratio"),
    TRAINING("center"),
    TRAINING("B1"),
    TRAINING("B2"),
    TRAINING("eps"),
    TRAINING("notruth"),
    TRAINING("random"),
    TRAINING("flip"),
    TRAINING("blur"),
    TRAINING("gaussian_noise"),
    TRAINING("mixup"),
    TRAINING("cutmix"),
    TRAINING("mosaic"),
    TRAINING("mosaic_bound"),
    TRAINING("letter_box"),
    TRAINING("label_smooth_eps"),
    TRAINING("resize_step"),
    TRAINING("learning_rate_min"),
    TRAINING("sgdr_cycle"),
    TRAINING("sgdr_mult"),
    TRAINING("loss_scale"),
    TRAINING("dynamic_minibatch"),
    TRAINING("optimized_memory"),
    TRAINING("workspace_size_limit_MB"),
    TRAINING("track"),
    TRAINING("augment_speed"),
    TRAINING("sequential_subdivisions"),
    TRAINING("try_fix_nan"),
    TRAINING("ema_alpha"),
    TRAINING("adversarial_lr"),
    TRAINING("max_chart_loss"),
    TRAINING("show_receptive_field"),
    TRAINING("weights_reject_freq"),
    TRAINING("equidistant_point"),
    TRAINING("badlabels_rejection_percentage"),
    TRAINING("num_sigmas_reject_badlabels"),
    TRAINING("contrastive"),
    TRAINING("unsupervised"),
};

static thaw_status read_picture(struct thaw_darknet_net *net,
                                const struct thaw_cfg_section *section) {
    int width = 0, height = 0;
    THAW_TRY(thaw_cfg_int(&net->cfg, section, "width", 1, THAW_DARKNET_SIZE_MAX, &width));
    THAW_TRY(thaw_cfg_int(&net->cfg, section, "height", 1, THAW_DARKNET_SIZE_MAX, &height));
    THAW_TRY(thaw_cfg_int(&net->cfg, section, "channels", 1, 3, &net->channels));
    if (!width || !height || !net->channels)
        return thaw_cfg_fail(&net->cfg, section, NULL, THAW_ERROR_INPUT,
                             "needs '%s=': Thaw takes pictures",
                             !width    ? "width"
                             : !height ? "height"
                                       : "channels");
    if (width != height)
        return thaw_cfg_fail(
            &net->cfg, section, thaw_cfg_find(section, "width"), THAW_ERROR_UNSUPPORTED,
            "pictures of %d x %d: Thaw's are square; set both to the same", width, height);
    if (net->channels == 2)
        return thaw_cfg_fail(&net->cfg, section, thaw_cfg_find(section, "channels"),
                             THAW_ERROR_UNSUPPORTED, "pictures have 3 channels, or 1 (grey)");
    net->size = net->resize = width;
    return THAW_OK;
}

static thaw_status read_rate(struct thaw_darknet_net *net, const struct thaw_cfg_section *section) {
    int adam = 0, batch = 1;
    double rate = 0;
    THAW_TRY(thaw_cfg_double(&net->cfg, section, "learning_rate", 0, 1000, &rate));
    THAW_TRY(thaw_cfg_int(&net->cfg, section, "batch", 1, 1 << 20, &batch));
    THAW_TRY(thaw_cfg_int(&net->cfg, section, "adam", 0, 1, &adam));
    if (adam || rate < 1e-9) /* Adam's rates say nothing about SGD's */
        return THAW_OK;
    net->reference_lr = rate;
    net->reference_batch = batch;
    if (batch > 1)
        return THAW_OK;
    net->reference_batch = TRAINING_BATCH;
    return thaw_darknet_note(net->import,
                             "batch=1 is a setting for tests: learning_rate=%g is taken for %d "
                             "images, Darknet's usual (`reference` in the model)",
                             rate, TRAINING_BATCH);
}

thaw_status thaw_darknet_read_input(struct thaw_darknet_net *net) {
    const struct thaw_cfg_section *section = &net->cfg.sections[0];
    if (strcmp(section->type, "net") != 0 && strcmp(section->type, "network") != 0)
        return thaw_cfg_fail(&net->cfg, section, NULL, THAW_ERROR_INPUT,
                             "comes first; a Darknet network starts with [net]");
    THAW_TRY(thaw_darknet_check_keys(net, section, keys, sizeof keys / sizeof *keys));
    THAW_TRY(read_picture(net, section));
    return read_rate(net, section);
}
