//! What the part of an address after its question mark asks for.
//!
//! Invariant: a parameter that is not known, or is there twice where once is meant, is refused, as an option of a command
//! would be: what somebody asks for is what he gets.

use clap::ValueEnum;
use percent_encoding::percent_decode_str;

use crate::cli::{ByArg, DirectionArg};
use crate::config::fields::nearest;
use crate::error::{Error, Result};
use crate::report::build::Ask;
use crate::report::model::{By, Direction};
use crate::report::span::{When, Wish};

/// What the page takes.
pub const PAGE: &[&str] =
    &["part", "period", "date", "from", "to", "by", "subject", "source", "quota", "instance", "direction"];
/// What the history takes.
pub const HISTORY: &[&str] =
    &["period", "date", "from", "to", "by", "subject", "source", "quota", "instance", "direction"];
/// What the log takes.
pub const LOG: &[&str] = &["period", "date", "from", "to", "subject", "source", "quota", "instance"];

/// More subjects than these nobody writes into an address.
const SUBJECTS: usize = 1000;
/// So many figures fit into an answer: it is made in memory, beside others, within the limit of the service.
pub const FIGURES: usize = 200_000;
/// In these a `+` is one: that of a zone, which nobody writes as `%2B`.
const TIMES: [&str; 3] = ["date", "from", "to"];

/// Names and values, decoded, in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the parameters; all have to be allowed.
    pub fn read(query: Option<&str>, allowed: &[&str]) -> Result<Self> {
        let mut pairs = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decoded(&name.replace('+', " "))?;
            let value =
                if TIMES.contains(&name.as_str()) { decoded(value) } else { decoded(&value.replace('+', " ")) }?;
            if !allowed.contains(&name.as_str()) {
                let near = nearest(&name, allowed.iter().copied());
                return Err(Error::usage(format!("there is no parameter {name:?}{near}")));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// All values of a parameter.
    fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The value of a parameter that is there once at the most.
    pub fn one(&self, name: &str) -> Result<Option<&str>> {
        match self.all(name)[..] {
            [] => Ok(None),
            [only] => Ok(Some(only)),
            _ => Err(Error::usage(format!("{name} is there more than once"))),
        }
    }

    /// All parameters but this one, as a text that is the same for the same of them.
    pub fn without(&self, name: &str) -> String {
        let others = self.0.iter().filter(|(known, _)| known != name);
        others.map(|(name, value)| format!("{name}={value:?}")).collect::<Vec<_>>().join("&")
    }

    /// What a report is to be about.
    pub fn ask(&self, events: bool) -> Result<Ask> {
        let text = |name| Ok::<_, Error>(self.one(name)?.map(str::to_owned));
        Ok(Ask {
            wish: self.wish()?,
            subjects: self.subjects()?,
            quota: text("quota")?,
            instance: text("instance")?,
            direction: self.chosen::<DirectionArg>("direction")?.map_or(Direction::Both, Direction::from),
            events,
            figures: FIGURES,
        })
    }

    fn wish(&self) -> Result<Wish> {
        let when = |name| {
            let read = |text| When::parse(text).map_err(|error| Error::usage(format!("{name}: {error}")));
            self.one(name)?.map(read).transpose()
        };
        let by = match self.one("by")? {
            Some("5min") => Some(By::FiveMinutes),
            _ => self.chosen::<ByArg>("by")?.map(By::from),
        };
        let wish =
            Wish { period: self.chosen("period")?, date: when("date")?, from: when("from")?, to: when("to")?, by };
        if (wish.period.is_some() || wish.date.is_some()) && (wish.from.is_some() || wish.to.is_some()) {
            return Err(Error::usage("period and date say which time, or from and to: not both"));
        }
        Ok(wish)
    }

    /// One of the words that an option of a command takes.
    fn chosen<T: ValueEnum>(&self, name: &str) -> Result<Option<T>> {
        let read = |text: &str| {
            T::from_str(text, false).map_err(|_| {
                let values = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
                let names: Vec<String> = values.map(|value| value.get_name().to_owned()).collect();
                Error::usage(format!("{name}: {text:?}: one of {} is expected", names.join(", ")))
            })
        };
        self.one(name)?.map(read).transpose()
    }

    fn subjects(&self) -> Result<Vec<String>> {
        let subjects = self.all("subject");
        if subjects.len() > SUBJECTS {
            return Err(Error::usage(format!("more than {SUBJECTS} subjects: use a pattern")));
        }
        Ok(match self.one("source")? {
            None => subjects.into_iter().map(str::to_owned).collect(),
            Some(source) if subjects.is_empty() => vec![format!("{source}/*")],
            Some(source) => subjects.into_iter().map(|subject| format!("{source}/{subject}")).collect(),
        })
    }
}

fn decoded(text: &str) -> Result<String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(String::from).map_err(|_| Error::usage(format!("{text:?} is not UTF-8")))
}

/// The commands' errors name options, of which parameters have the names without the dashes.
pub fn without_dashes(text: &str) -> String {
    HISTORY.iter().fold(text.to_owned(), |text, name| text.replace(&format!("--{name}"), name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::span::Named;

    fn ask(query: &str) -> Result<Ask> {
        Query::read(Some(query), HISTORY)?.ask(true)
    }

    fn wrong(query: &str) -> String {
        ask(query).unwrap_err().text
    }

    #[test]
    fn parameters_are_the_options_of_a_report() {
        let asked = ask("subject=qemu%2F100&subject=a+b&period=week&date=2026-11-21&by=hour&direction=out").unwrap();
        assert_eq!(asked.subjects, ["qemu/100", "a b"]);
        assert_eq!((asked.wish.period, asked.wish.by), (Some(Named::Week), Some(By::Hour)));
        assert_eq!(asked.wish.date, When::parse("2026-11-21").ok());
        assert_eq!((asked.direction, asked.events), (Direction::Out, true));
        assert_eq!(ask("source=pve&subject=lxc/1").unwrap().subjects, ["pve/lxc/1"]);
        assert_eq!(ask("source=pve").unwrap().subjects, ["pve/*"]);
        assert_eq!(ask("by=5min").unwrap().wish.by, Some(By::FiveMinutes));
        for plus in ["%2B", "+"] {
            let asked = ask(&format!("from=2026-11-21T10:00:00{plus}08:00&to=2026-11-21T11:00:00{plus}08:00")).unwrap();
            assert_eq!(asked.wish.from, When::parse("2026-11-21T10:00:00+08:00").ok());
            assert_eq!(asked.wish.to, When::parse("2026-11-21T11:00:00+08:00").ok());
        }
        assert!(ask("&&").is_ok());
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (query, said) in [
            ("perod=day", "there is no parameter \"perod\"; did you mean \"period\"?"),
            ("part=now", "there is no parameter \"part\""),
            ("period=decade", "period: \"decade\": one of hour, day, week, month, year is expected"),
            ("period=", "period: \"\": one of"),
            ("by=minute", "by: \"minute\": one of hour, day, month is expected"),
            ("direction=up", "direction: \"up\": one of out, in, both is expected"),
            ("date=yesterday", "date: \"yesterday\" is no date"),
            ("period=day&period=week", "period is there more than once"),
            ("period=day&from=2026-11-21", "not both"),
            ("subject=%ff", "is not UTF-8"),
            ("%ff=1", "is not UTF-8"),
        ] {
            assert!(wrong(query).starts_with(said) || wrong(query).contains(said), "{query}: {}", wrong(query));
        }
        assert!(wrong(&"subject=x&".repeat(1001)).contains("more than 1000 subjects"));
    }

    #[test]
    fn errors_name_parameters() {
        assert_eq!(
            without_dashes("--subject: there is no \"x\" in the history"),
            "subject: there is no \"x\" in the history"
        );
        assert_eq!(without_dashes("--to needs --from: since when?"), "to needs from: since when?");
    }

    #[test]
    fn what_else_is_asked_for_tells_pages_apart() {
        let without = |query: &str| Query::read(Some(query), PAGE).unwrap().without("part");
        assert_eq!(without("part=now&period=day"), without("period=day"));
        assert_ne!(without("subject=a&subject=b"), without("subject=a%22%26subject%3D%22b"));
    }
}
