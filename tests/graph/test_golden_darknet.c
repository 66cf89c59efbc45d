/* The networks that came from Darknet, and MobileNetV1, against PyTorch
 * (support/golden_network.h). */
#include "support/golden_network.h"
#include "support/support.h"

int main(void) {
    static struct golden_check checks[] = {
        {"darknet19", NULL, GOLDEN_DEFAULT},
        {"darknet53", NULL, GOLDEN_DEFAULT},
        {"mobilenet_v1", NULL, GOLDEN_DIRECT},
    };
    struct CMUnitTest tests[sizeof checks / sizeof *checks];
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        tests[i] =
            (struct CMUnitTest){checks[i].model, golden_check_network, NULL, NULL, &checks[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
