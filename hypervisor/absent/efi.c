// SPDX-License-Identifier: MIT
/* CONFIG_EFI is off: as if no EFI firmware had started the machine. */
#include "arch/x86/boot/efi.h"
#include "lib/errno.h"

int efi_firmware_info(struct xenpf_firmware_info *fw)
{
    (void)fw;
    return -ENOSYS;
}
