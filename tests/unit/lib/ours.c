// SPDX-License-Identifier: MIT
#undef HOSPES_HOST /* the freestanding half of lib/ */
#define memcpy         our_memcpy
#define memmove        our_memmove
#define memset         our_memset
#define memcmp         our_memcmp
#define strlen         our_strlen
#define strnlen        our_strnlen
#define strcmp         our_strcmp
#define strncmp        our_strncmp
#define strchr         our_strchr
#define strstr         our_strstr
#define vsnprintf      our_vsnprintf
#define snprintf       our_snprintf
#define hospes_strlcpy our_strlcpy
#define parse_uint     our_parse_uint
#include "lib/string.c"
#include "lib/printf.c"
