// SPDX-License-Identifier: MIT
/*
 * The kernel makes whoever asks for random numbers wait until it has gathered enough of them, and
 * an emulated machine without a hardware source gathers for a minute: `xl create`, which makes a
 * UUID, would take 4 s instead of 0.5. The demo keeps no secrets, so its init runs this: it tells
 * the kernel that what it has is enough.
 */
#include <fcntl.h>
#include <linux/random.h>
#include <stdio.h>
#include <sys/ioctl.h>

int main(void)
{
    int bits = 512;
    int fd = open("/dev/random", O_WRONLY);

    /* Crediting alone seeds the pool only with the next input; reseeding makes it take effect. */
    if (fd < 0 || ioctl(fd, RNDADDTOENTCNT, &bits) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0) {
        perror("credit-random");
        return 1;
    }
    return 0;
}
