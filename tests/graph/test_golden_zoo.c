/* One network of each further family against PyTorch (support/golden_network.h). */
#include "support/golden_network.h"
#include "support/support.h"

int main(void) {
    static struct golden_check checks[] = {
        {"alexnet", NULL, GOLDEN_DEFAULT},           {"densenet121", NULL, GOLDEN_DEFAULT},
        {"efficientnet_b0", NULL, GOLDEN_DIRECT},    {"googlenet", NULL, GOLDEN_DEFAULT},
        {"mobilenet_v3_small", NULL, GOLDEN_DIRECT}, {"regnet_y_400mf", NULL, GOLDEN_DIRECT},
        {"mnasnet1_0", NULL, GOLDEN_DIRECT},         {"resnext50_32x4d", NULL, GOLDEN_DIRECT},
        {"wide_resnet50_2", NULL, GOLDEN_DEFAULT},   {"inception_v3", NULL, GOLDEN_DEFAULT},
        {"squeezenet1_0", NULL, GOLDEN_DEFAULT},     {"squeezenet1_1", NULL, GOLDEN_DEFAULT},
        {"shufflenet_v2_x1_0", NULL, GOLDEN_DIRECT}, {"convnext_tiny", NULL, GOLDEN_DEFAULT},
    };
    struct CMUnitTest tests[sizeof checks / sizeof *checks];
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        tests[i] =
            (struct CMUnitTest){checks[i].model, golden_check_network, NULL, NULL, &checks[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
