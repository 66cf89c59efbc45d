/* One network of each main family against PyTorch (support/golden_network.h). */
#include "support/golden_network.h"
#include "support/support.h"

int main(void) {
    static struct golden_check checks[] = {
        {"vgg11_bn", "direct", GOLDEN_DIRECT}, {"vgg11_bn", NULL, GOLDEN_DEFAULT},
        {"resnet18", "direct", GOLDEN_DIRECT}, {"resnet18", NULL, GOLDEN_DEFAULT},
        {"resnet50", "direct", GOLDEN_DIRECT}, {"resnet50", NULL, GOLDEN_DEFAULT},
        {"mobilenet_v2", NULL, GOLDEN_DIRECT}, {"efficientnet_lite0", NULL, GOLDEN_DIRECT},
    };
    const struct CMUnitTest tests[] = {
        {"vgg11_bn, direct", golden_check_network, NULL, NULL, &checks[0]},
        {"vgg11_bn", golden_check_network, NULL, NULL, &checks[1]},
        {"resnet18, direct", golden_check_network, NULL, NULL, &checks[2]},
        {"resnet18", golden_check_network, NULL, NULL, &checks[3]},
        {"resnet50, direct", golden_check_network, NULL, NULL, &checks[4]},
        {"resnet50", golden_check_network, NULL, NULL, &checks[5]},
        {"mobilenet_v2", golden_check_network, NULL, NULL, &checks[6]},
        {"efficientnet_lite0", golden_check_network, NULL, NULL, &checks[7]},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
