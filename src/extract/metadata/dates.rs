//! Dates as pages write them, where they can be read in one way only.
//!
//! Read are RFC 3339 and its relatives, RFC 2822, and days with the month as a word in the
//! languages of [`MONTHS`] or with the signs of East Asia. Not read are
//! years alone, durations, and numbers of day and month that may stand either way round.

/// Longest text that is looked at.
const MAX_BYTES: usize = 64;
/// Years that dates of pages have.
const YEARS: std::ops::RangeInclusive<u32> = 1900..=2100;

/// Names of months in English, German, French, Spanish, Italian, Portuguese, Dutch and Russian.
const MONTHS: [&str; 12] = [
    "january jan januar janvier janv enero ene gennaio gen janeiro januari января",
    "february feb februar février févr fév febrero febbraio fevereiro fev februari февраля",
    "march mar märz mrz mars marzo março maart mrt марта",
    "april apr avril avr abril abr aprile апреля",
    "may mai mayo maggio mag maio mei мая",
    "june jun juni juin junio giugno giu junho июня",
    "july jul juli juillet juil julio luglio lug julho июля",
    "august aug août aout agosto ago augustus августа",
    "september sep sept septembre septiembre settembre set setembro сентября",
    "october oct oktober okt octobre octubre ottobre ott outubro out октября",
    "november nov novembre noviembre novembro ноября",
    "december dec dezember dez décembre déc diciembre dic dicembre dezembro декабря",
];

/// Words that may stand beside a date and say nothing, or that it is the publication's.
const FILLERS: &str = "monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu \
    thur thurs fri sat sun montag dienstag mittwoch donnerstag freitag samstag sonntag lundi mardi \
    mercredi jeudi vendredi samedi dimanche on at the of de del du le el am pm a t z utc gmt est edt \
    pst pdt cst cdt um uhr den date published publish posted publication written first added created \
    release released veröffentlicht am publié publicado pubblicato datum geplaatst";
/// Words beside the date of a change.
const CHANGES: &str = "updated update modified changed revised reviewed edited last aktualisiert \
    geändert stand actualisé modifié mis jour mise à actualizado atualizado aggiornato bijgewerkt \
    обновлено";

/// What a date is the date of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Publication, unless something else is said.
    Publication,
    /// The last change.
    Change,
}

/// The date that `text` is, as RFC 3339 writes it: with its time, if it has one in that form.
pub(super) fn read(text: &str) -> Option<String> {
    let text = text.trim();
    timestamp(text).or_else(|| labelled(text).map(|(date, _)| date))
}

/// The date that a short text holds beside labels alone, and what they say it is of.
pub(super) fn labelled(text: &str) -> Option<(String, Event)> {
    if text.len() > MAX_BYTES || !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let parts: Vec<Part<'_>> = parts(text).collect();
    let (at, date) = (0..parts.len()).find_map(|at| Some((at, day(&parts[at..])?)))?;
    let rest = parts[..at].iter().chain(parts.iter().skip(at + date.parts));
    let mut event = Event::Publication;
    for part in rest {
        match part {
            // A time of the day.
            Part::Number(number, digits) if *number < 60 && *digits <= 2 && at == 0 => {}
            Part::Number(number, digits) if *number < 2400 && *digits <= 4 && at < 4 => {}
            Part::Word(word) if has(CHANGES, word) => event = Event::Change,
            Part::Word(word) if has(FILLERS, word) => {}
            _ => return None,
        }
    }
    Some((date.written, event))
}

/// Whether words such as those before a date say that it is that of a change.
pub(super) fn is_change(label: &str) -> bool {
    label.split(|c: char| !c.is_alphabetic()).any(|word| has(CHANGES, &word.to_lowercase()))
}

fn has(list: &str, word: &str) -> bool {
    !word.is_empty() && list.split_ascii_whitespace().any(|known| known == word)
}

/// `2024-05-09T10:00:00Z` and its relatives.
fn timestamp(text: &str) -> Option<String> {
    let date = text.get(..10)?;
    let bytes = date.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        let part = date.get(range)?;
        let plain = part.bytes().all(|byte| byte.is_ascii_digit());
        if plain { part.parse::<u32>().ok() } else { None }
    };
    let written = written(digits(0..4)?, digits(5..7)?, digits(8..10)?)?;
    if bytes[4] != bytes[7] || !matches!(bytes[4], b'-' | b'/' | b'.') {
        return None;
    }
    let after = &text[10..];
    let Some(time) = after.strip_prefix(['T', 't', ' ']).map(str::trim_start) else {
        return after.is_empty().then_some(written);
    };
    let length =
        time.bytes().take_while(|b| b.is_ascii_digit() || matches!(b, b':' | b'.')).count();
    let (clock, zone) = time.split_at(length);
    if clock.len() < 5 || clock.as_bytes()[2] != b':' {
        return Some(written);
    }
    let zone = zone.trim_start().split(' ').next().unwrap_or_default();
    let offset = zone
        .strip_prefix(['+', '-'])
        .filter(|o| o.bytes().all(|b| b.is_ascii_digit() || b == b':'));
    let zone = match (zone, offset.map(str::len)) {
        ("Z" | "z" | "UTC" | "GMT", _) => "Z".to_owned(),
        (zone, Some(4)) if !zone.contains(':') => format!("{}:{}", &zone[..3], &zone[3..]),
        (zone, Some(5)) => zone.to_owned(),
        _ => String::new(),
    };
    Some(format!("{written}T{clock}{zone}"))
}

/// The date as RFC 3339 writes it, if there is such a day.
fn written(year: u32, month: u32, day: u32) -> Option<String> {
    let days = match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    (YEARS.contains(&year) && (1..=days).contains(&day))
        .then(|| format!("{year}-{month:02}-{day:02}"))
}

/// A word or number of a text, what stands between them left out.
#[derive(Debug)]
enum Part<'a> {
    /// Its value and how many digits it has.
    Number(u32, usize),
    /// The number of the month it names.
    Month(u32),
    /// Another word, in lower case.
    Word(std::borrow::Cow<'a, str>),
}

fn parts(text: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        // Some digits are neither, such as `²`.
        rest = rest.trim_start_matches(|c: char| !c.is_ascii_digit() && !c.is_alphabetic());
        let first = rest.chars().next()?;
        let number = first.is_ascii_digit();
        let end = rest
            .find(|c: char| if number { !c.is_ascii_digit() } else { !c.is_alphabetic() })
            .unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        rest = after;
        if number {
            // `1st`, `2nd`, `3º`
            for ordinal in ["st", "nd", "rd", "th", "º", "er"] {
                if let Some(after) = rest.strip_prefix(ordinal)
                    && !after.starts_with(char::is_alphabetic)
                {
                    rest = after;
                }
            }
            return Some(Part::Number(part.parse().unwrap_or(u32::MAX), part.len()));
        }
        // Signs of East Asia stand between the numbers.
        if let Some(sign) =
            ["年", "月", "日", "년", "월", "일"].into_iter().find(|sign| part.starts_with(sign))
        {
            rest = &text[text.len() - after.len() - part.len() + sign.len()..];
            return Some(Part::Word("".into()));
        }
        let word = part.to_lowercase();
        let month = MONTHS.iter().position(|names| has(names, &word));
        let month = month.and_then(|at| u32::try_from(at + 1).ok());
        Some(month.map_or(Part::Word(word.into()), Part::Month))
    })
    .filter(|part| !matches!(part, Part::Word(word) if word.is_empty()))
}

/// A day and how many parts it took.
struct Day {
    written: String,
    parts: usize,
}

/// The day that `parts` begin with.
fn day(parts: &[Part<'_>]) -> Option<Day> {
    let de = |word: &str| matches!(word, "de" | "of");
    let (year, month, day, taken) = match parts {
        [
            Part::Number(year, 4),
            Part::Number(month, 1..=2) | Part::Month(month),
            Part::Number(day, 1..=2),
            ..,
        ] => (*year, *month, *day, 3),
        [Part::Month(month), Part::Number(day, 1..=2), Part::Number(year, 4), ..]
        | [Part::Number(day, 1..=2), Part::Month(month), Part::Number(year, 4), ..] => {
            (*year, *month, *day, 3)
        }
        // Where one of both is no month, the other is.
        [Part::Number(first, 1..=2), Part::Number(second, 1..=2), Part::Number(year, 4), ..] => {
            match (*first, *second) {
                (day, month) if day == month || day > 12 => (*year, month, day, 3),
                (month, day) if day > 12 => (*year, month, day, 3),
                _ => return None,
            }
        }
        [
            Part::Number(day, 1..=2),
            Part::Word(of),
            Part::Month(month),
            Part::Number(year, 4),
            ..,
        ] if de(of) => (*year, *month, *day, 4),
        [
            Part::Number(day, 1..=2),
            Part::Word(of),
            Part::Month(month),
            Part::Word(of_year),
            Part::Number(year, 4),
            ..,
        ] if de(of) && matches!(&**of_year, "de" | "del") => (*year, *month, *day, 5),
        _ => return None,
    };
    Some(Day { written: written(year, month, day)?, parts: taken })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_every_form_are_read() {
        for (text, date) in [
            ("2024-05-09", "2024-05-09"),
            ("2024-05-09T10:11:12.5Z", "2024-05-09T10:11:12.5Z"),
            ("2024-05-09T10:11:12+02:00", "2024-05-09T10:11:12+02:00"),
            ("2024-05-09 10:11:12 +0200", "2024-05-09T10:11:12+02:00"),
            ("2024-05-09 10:11:12 +0100 +0100", "2024-05-09T10:11:12+01:00"),
            ("2024-05-09 10:11", "2024-05-09T10:11"),
            ("2024/05/09", "2024-05-09"),
            ("Thu, 09 May 2024 10:11:12 GMT", "2024-05-09"),
            ("March 27, 2025", "2025-03-27"),
            ("Mar. 27th 2025", "2025-03-27"),
            ("on Friday December 19, 2025 @08:00PM", "2025-12-19"),
            ("2023 Jan 7", "2023-01-07"),
            ("2019/1/22", "2019-01-22"),
            ("27. März 2025", "2025-03-27"),
            ("1er juin 2024", "2024-06-01"),
            ("27 de marzo de 2025", "2025-03-27"),
            ("27 марта 2025", "2025-03-27"),
            ("2024年6月1日", "2024-06-01"),
            ("2024년 6월 1일", "2024-06-01"),
            ("27/03/2025", "2025-03-27"),
            ("03/27/2025", "2025-03-27"),
        ] {
            assert_eq!(read(text).as_deref(), Some(date), "{text}");
        }
    }

    #[test]
    fn what_may_be_something_else_is_not_read() {
        for text in [
            "",
            "2024",
            "© 2024",
            "PT5M",
            "P2Y",
            "5 minutes",
            "03/04/2025",
            "2024-13-01",
            "2024-02-31",
            "March 2025",
            "May",
            "12:30",
            "From 1 May 2024 to 3 June 2024",
            "Version 1.2.2024 beta",
            "1841-05-09",
            "10² m",
            "٣ 2024",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn labels_say_what_a_date_is_of() {
        for (text, event) in [
            ("Published on May 9, 2024", Event::Publication),
            ("Last updated: 9 May 2024", Event::Change),
            ("Aktualisiert am 9. Mai 2024", Event::Change),
            ("9 May 2024 | 10:30", Event::Publication),
        ] {
            assert_eq!(labelled(text), Some(("2024-05-09".to_owned(), event)), "{text}");
        }
        assert_eq!(labelled("The flood of 9 May 2024"), None);
    }
}
