//! Wall-clock seconds as local date and time, for the logger's lines and the message log's header.
//!
//! The one place that asks the C library for the time zone.

/// A second of local time, taken apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LocalTime {
    year: i32,
    month: i32,
    day: i32,
    weekday: i32,
    hour: i32,
    minute: i32,
    second: i32,
}

impl LocalTime {
    /// The local time at `unix_seconds`, in the zone that the environment names. A second that no calendar can express
    /// reads as all zeros.
    pub(crate) fn at(unix_seconds: u64) -> LocalTime {
        let Ok(seconds) = libc::time_t::try_from(unix_seconds) else {
            return LocalTime::default();
        };
        let mut parts = std::mem::MaybeUninit::<libc::tm>::uninit();
        // SAFETY: both pointers are valid for the call, and `localtime_r` keeps neither.
        let filled = unsafe { libc::localtime_r(&seconds, parts.as_mut_ptr()) };
        if filled.is_null() {
            return LocalTime::default();
        }
        // SAFETY: a result that is not null says that every field was written.
        let parts = unsafe { parts.assume_init() };
        LocalTime {
            year: parts.tm_year + 1900,
            month: parts.tm_mon + 1,
            day: parts.tm_mday,
            weekday: parts.tm_wday,
            hour: parts.tm_hour,
            minute: parts.tm_min,
            second: parts.tm_sec,
        }
    }

    /// `20/11/26 09:56:15`, the form of log files.
    pub(crate) fn short(&self) -> String {
        let LocalTime {
            year,
            month,
            day,
            hour,
            minute,
            second,
            ..
        } = self;
        format!(
            "{day:02}/{month:02}/{:02} {hour:02}:{minute:02}:{second:02}",
            year.rem_euclid(100)
        )
    }

    /// `Fri Nov 20 09:56:15 2026`, the form of C's `ctime`.
    pub(crate) fn ctime(&self) -> String {
        let name = |names: [&'static str; 12], index: i32| *names.get(index as usize).unwrap_or(&"???");
        let LocalTime {
            year,
            day,
            hour,
            minute,
            second,
            ..
        } = self;
        let (weekday, month) = (name(WEEKDAYS, self.weekday), name(MONTHS, self.month - 1));
        format!("{weekday} {month} {day:>2} {hour:02}:{minute:02}:{second:02} {year}")
    }
}

const WEEKDAYS: [&str; 12] = [
    "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "???", "???", "???", "???", "???",
];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: LocalTime = LocalTime {
        year: 2026,
        month: 11,
        day: 2,
        weekday: 1,
        hour: 9,
        minute: 5,
        second: 7,
    };

    #[test]
    fn both_forms_pad_as_the_c_library_does() {
        assert_eq!(SAMPLE.short(), "02/11/26 09:05:07");
        assert_eq!(SAMPLE.ctime(), "Mon Nov  2 09:05:07 2026");
    }

    #[test]
    fn a_known_second_is_right_in_every_zone() {
        // 2001-09-09 01:46:40 UTC; zones differ by at most 14 hours and by quarters of an hour.
        let local = LocalTime::at(1_000_000_000);
        assert_eq!((local.year, local.month, local.second), (2001, 9, 40));
        assert!((8..=9).contains(&local.day));
        assert_eq!(local.weekday, if local.day == 8 { 6 } else { 0 });
    }

    #[test]
    fn an_impossible_second_is_not_an_error() {
        assert_eq!(LocalTime::at(u64::MAX), LocalTime::default());
        assert_eq!(LocalTime::default().ctime(), "Sun ???  0 00:00:00 0");
    }
}
