// SPDX-License-Identifier: MIT
/* Forgets the macros of hypercalls.def, for the next reading. */
#undef CALL0
#undef CALL1
#undef CALL2
#undef CALL3
#undef CALL4
#undef HOT1
#undef HOT2
#undef HOT3
#undef HOT4
#undef TABLE
#undef NOCALL
