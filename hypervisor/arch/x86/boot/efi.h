// SPDX-License-Identifier: MIT
/* What EFI firmware left behind, for dom0 (XENPF_firmware_info). */
#pragma once

struct xenpf_firmware_info;

/* type XEN_FW_EFI_INFO.  0, -ENOSYS: not started by EFI, -EINVAL, -ESRCH, -EFAULT. */
int efi_firmware_info(struct xenpf_firmware_info *fw);
