//! Whether the wall clock can be believed.
//!
//! A time before the last run's, or more than 400 days after it, moves no period and resets nothing until a
//! server's clock agrees or the new time has held for an hour. Until then the
//! run goes on at the last believed time. Steps back of up to a minute are what time servers do: the run is
//! then simply at the last believed time.

use std::time::Duration;

use super::instant::Instant;
use super::meter::Identity;
use super::state::{Clock, Doubt};

const SMALL_STEP: Duration = Duration::from_secs(60);
const FAR: Duration = Duration::from_secs(400 * 86_400);
const HOLDS: Duration = Duration::from_secs(3600);

/// What this run makes of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The time this run is at.
    pub now: Instant,
    /// What happened to the clock, to be told.
    pub news: News,
}

/// What happened to the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// It goes on as it should.
    None,
    /// It jumped just now and is not believed.
    Jumped,
    /// It jumped some time ago and is still not believed.
    Doubted,
    /// It jumped, and from now on it is believed.
    Believed,
}

impl Verdict {
    /// Whether the time is not believed.
    pub fn doubtful(&self) -> bool {
        matches!(self.news, News::Jumped | News::Doubted)
    }
}

impl Clock {
    /// Judges the wall clock and remembers what it says.
    pub fn judge(&mut self, wall: Instant) -> Verdict {
        let Some(last) = self.at else { return self.believe(wall, News::None) };
        if wall >= last.minus(SMALL_STEP) && wall <= last.plus(FAR) {
            self.doubt = None;
            return self.believe(wall.max(last), News::None);
        }
        match &self.doubt {
            Some(doubt) if holds(doubt, wall) => self.believe(wall, News::Believed),
            Some(doubt) if wall >= doubt.first => Verdict { now: last, news: News::Doubted },
            _ => {
                self.doubt = Some(Doubt { first: wall, confirmed: false });
                Verdict { now: last, news: News::Jumped }
            }
        }
    }

    /// Notes that a server's clock agreed with this machine's, or not.
    pub fn heard(&mut self, agrees: bool) {
        if let Some(doubt) = &mut self.doubt {
            doubt.confirmed = agrees;
        }
    }

    /// How much further the clock went since the last run than the machine's uptime: it was set forward. Nothing where
    /// the machine was started meanwhile.
    pub fn stepped(&mut self, wall: Instant, machine: &Identity) -> Duration {
        let before = self.machine.replace(machine.clone());
        let Some((last, before)) = self.at.zip(before) else { return Duration::ZERO };
        let uptimes = before.uptime.zip(machine.uptime).filter(|_| before.boot == machine.boot);
        let Some((then, up)) = uptimes.filter(|(then, up)| then <= up) else { return Duration::ZERO };
        wall.since(last).saturating_sub(up - then)
    }

    fn believe(&mut self, now: Instant, news: News) -> Verdict {
        (self.at, self.doubt) = (Some(now), None);
        Verdict { now, news }
    }
}

fn holds(doubt: &Doubt, wall: Instant) -> bool {
    let since = wall.since(doubt.first);
    wall >= doubt.first && since <= FAR && (doubt.confirmed || since >= HOLDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const DAY: i64 = 24 * HOUR;

    fn at(millis: i64) -> Instant {
        Instant::from_millis(1_800_000_000_000 + millis)
    }

    fn clock() -> Clock {
        Clock { at: Some(at(0)), ..Clock::default() }
    }

    #[test]
    fn an_ordinary_step_forward_is_believed_at_once() {
        let mut clock = clock();
        assert_eq!(clock.judge(at(400 * DAY)), Verdict { now: at(400 * DAY), news: News::None });
    }

    #[test]
    fn a_small_step_back_stays_at_the_last_time() {
        let mut clock = clock();
        assert_eq!(clock.judge(at(-60_000)), Verdict { now: at(0), news: News::None });
        assert_eq!(clock.at, Some(at(0)));
    }

    #[test]
    fn a_jump_back_is_believed_after_an_hour() {
        let mut clock = clock();
        assert_eq!(clock.judge(at(-10 * DAY)), Verdict { now: at(0), news: News::Jumped });
        assert_eq!(clock.judge(at(-10 * DAY + HOUR - 1)), Verdict { now: at(0), news: News::Doubted });
        let believed = at(-10 * DAY + HOUR);
        assert_eq!(clock.judge(believed), Verdict { now: believed, news: News::Believed });
        assert_eq!(clock.judge(at(-10 * DAY + 2 * HOUR)).news, News::None);
    }

    #[test]
    fn a_jump_far_ahead_is_believed_once_a_server_agrees() {
        let mut clock = clock();
        assert_eq!(clock.judge(at(500 * DAY)).news, News::Jumped);
        clock.heard(true);
        let later = at(500 * DAY + 60_000);
        assert_eq!(clock.judge(later), Verdict { now: later, news: News::Believed });
    }

    #[test]
    fn a_clock_that_comes_back_is_no_news() {
        let mut clock = clock();
        assert_eq!(clock.judge(at(500 * DAY)).news, News::Jumped);
        assert_eq!(clock.judge(at(HOUR)), Verdict { now: at(HOUR), news: News::None });
        assert_eq!(clock.doubt, None);
    }

    #[test]
    fn a_second_jump_starts_the_hour_anew() {
        let mut clock = clock();
        assert_eq!(clock.judge(at(-10 * DAY)).news, News::Jumped);
        assert_eq!(clock.judge(at(-20 * DAY)).news, News::Jumped);
        assert_eq!(clock.judge(at(-20 * DAY + HOUR / 2)).news, News::Doubted);
        assert_eq!(clock.judge(at(900 * DAY)).news, News::Doubted);
    }

    fn machine(boot: &str, uptime: Option<u64>) -> Identity {
        Identity { boot: Some(boot.into()), uptime: uptime.map(Duration::from_secs), ..Identity::default() }
    }

    /// What a clock that read 0 when the machine was up for 1000 s says of a later look.
    fn step(seconds: i64, later: &Identity) -> u64 {
        let mut clock = Clock { machine: Some(machine("a", Some(1000))), ..clock() };
        let stepped = clock.stepped(at(seconds * 1000), later);
        assert_eq!(clock.machine.as_ref(), Some(later));
        stepped.as_secs()
    }

    #[test]
    fn a_clock_that_went_further_than_the_uptime_was_set_forward() {
        assert_eq!(step(60, &machine("a", Some(1060))), 0);
        assert_eq!(step(3660, &machine("a", Some(1060))), 3600);
        assert_eq!(step(61, &machine("a", Some(1060))), 1);
        assert_eq!(step(0, &machine("a", Some(1060))), 0, "it was set back");
        assert_eq!(step(-500, &machine("a", Some(1060))), 0);
    }

    #[test]
    fn nobody_knows_what_a_clock_did_while_the_machine_was_off() {
        assert_eq!(step(3660, &machine("b", Some(1060))), 0, "another boot");
        assert_eq!(step(3660, &machine("a", Some(60))), 0, "a fallen uptime");
        assert_eq!(step(3660, &machine("a", None)), 0);
        let mut clock = clock();
        assert_eq!(clock.stepped(at(HOUR), &machine("a", Some(1))), Duration::ZERO, "the first look");
        let mut clock = Clock { machine: Some(machine("a", Some(1000))), ..Clock::default() };
        assert_eq!(clock.stepped(at(HOUR), &machine("a", Some(1001))), Duration::ZERO, "no time before");
        // Without boot ids the uptime says it.
        let nameless = |uptime| Identity { boot: None, ..machine("", Some(uptime)) };
        let mut clock = Clock { at: Some(at(0)), machine: Some(nameless(1000)), doubt: None };
        assert_eq!(clock.stepped(at(HOUR), &nameless(1060)), Duration::from_secs(3540));
    }
}
