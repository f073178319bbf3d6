/* Reads images of NETWORK_INPUT quantized bytes each; prints one line per image: exit label logits. */
#include "network.h"

#include <stdio.h>

int main(void)
{
    static uint8_t image[NETWORK_INPUT];
    static int32_t logits[NETWORK_CLASSES];
    size_t got;
    while ((got = fread(image, 1, sizeof image, stdin)) == sizeof image) {
        float confidence;
        int label, k, number = network_run(image, logits, &confidence, &label);
        printf("%d %d", number, label);
        for (k = 0; k < network_classes[number]; k++) {
            printf(" %ld", (long)logits[k]);
        }
        printf("\n");
    }
    if (got != 0 || ferror(stdin)) {
        fprintf(stderr, "the last image has %lu of %d bytes\n", (unsigned long)got, NETWORK_INPUT);
        return 1;
    }
    return 0;
}
