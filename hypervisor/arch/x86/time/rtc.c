// SPDX-License-Identifier: MIT
/* The CMOS real-time clock, read once at boot; dom0's kernel keeps it from then on. */
#include "private.h"
#include "arch/x86/acpi/acpi.h"
#include "lib/string.h"
#include <asm/io.h>

#define CMOS_INDEX 0x70
#define CMOS_DATA  0x71

enum {
    RTC_SECONDS = 0,
    RTC_MINUTES = 2,
    RTC_HOURS = 4,
    RTC_DAY = 7,
    RTC_MONTH = 8,
    RTC_YEAR = 9,
    RTC_STATUS_A = 10,
    RTC_STATUS_B = 11
};
#define RTC_UPDATING 0x80 /* status A */
#define RTC_BINARY   0x04 /* status B */
#define RTC_24H      0x02
#define RTC_PM       0x80 /* hours, in 12-hour mode */

struct rtc_time {
    uint8_t sec, min, hour, day, month, year, century;
};

static uint8_t cmos_read(uint8_t index)
{
    outb(index, CMOS_INDEX);
    return inb(CMOS_DATA);
}

static void read_raw(struct rtc_time *t)
{
    for (unsigned i = 0; i < 100000 && cmos_read(RTC_STATUS_A) & RTC_UPDATING; i++)
        ;
    t->sec = cmos_read(RTC_SECONDS);
    t->min = cmos_read(RTC_MINUTES);
    t->hour = cmos_read(RTC_HOURS);
    t->day = cmos_read(RTC_DAY);
    t->month = cmos_read(RTC_MONTH);
    t->year = cmos_read(RTC_YEAR);
    t->century = acpi.century ? cmos_read(acpi.century) : 0;
}

static unsigned from_bcd(uint8_t v)
{
    return (v >> 4) * 10 + (v & 15);
}

/* Since 1970-01-01, in the Gregorian calendar; month and day from 1. */
static int64_t days_from_date(int year, unsigned month, unsigned day)
{
    static const uint16_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int leap = (!(year % 4) && year % 100) || !(year % 400);
    int y = year - 1; /* complete years */

    return (int64_t)y * 365 + y / 4 - y / 100 + y / 400 - 719162 + before[month - 1] +
           (month > 2 ? leap : 0) + day - 1;
}

uint64_t rtc_read(void)
{
    struct rtc_time t, again;
    uint8_t status, hour;
    unsigned year;

    if (acpi.no_rtc)
        return 0;
    /* An update may begin between two registers: only two equal readings count. */
    read_raw(&again);
    for (unsigned i = 0;; i++) {
        t = again;
        read_raw(&again);
        if (!memcmp(&t, &again, sizeof(t)))
            break;
        if (i == 10)
            return 0;
    }
    status = cmos_read(RTC_STATUS_B);
    hour = t.hour & ~RTC_PM;
    if (!(status & RTC_BINARY)) {
        t.sec = from_bcd(t.sec);
        t.min = from_bcd(t.min);
        hour = from_bcd(hour);
        t.day = from_bcd(t.day);
        t.month = from_bcd(t.month);
        t.year = from_bcd(t.year);
        t.century = from_bcd(t.century);
    }
    if (!(status & RTC_24H))
        hour = hour % 12 + (t.hour & RTC_PM ? 12 : 0);
    year = t.century >= 19 && t.century < 30 ? t.century * 100 : t.year < 70 ? 2000 : 1900;
    year += t.year;
    if (t.sec > 59 || t.min > 59 || hour > 23 || !t.day || t.day > 31 || !t.month || t.month > 12 ||
        t.year > 99 || year < 1970)
        return 0;
    return days_from_date(year, t.month, t.day) * 86400ULL + hour * 3600 + t.min * 60 + t.sec;
}
