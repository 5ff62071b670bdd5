//! How often people use the apps: recorded of those who agreed to be counted, drawn when a day is
//! closed, told as it was drawn.

use std::{collections::BTreeMap, time::Duration};

use futures::try_join;
use roaring::RoaringBitmap;
use tokio::time::timeout;

use crate::{
    domain::{Day, DayFigures, MONTH, Tally, first_open},
    error::Error,
    service::Service,
    store::{
        RequestKey, Tx, requests,
        usage::{self, Active},
    },
};

/// How long consent-svc may take while everybody who adds people waits.
const PATIENCE: Duration = Duration::from_secs(1);

/// The name of all apps together.
const ACROSS: &str = "";

impl Service {
    /// Records that subjects, each named once, used an app on a day. Nothing is stored of those who
    /// have not agreed to be counted, and nothing at all where nobody has.
    ///
    /// # Errors
    /// The day is closed; consent-svc does not answer.
    pub(crate) async fn record_activity(
        &self,
        request: &RequestKey,
        app_id: &str,
        day: Day,
        subject_ids: Vec<String>,
    ) -> Result<(), Error> {
        let now = self.now();
        let (counted, known) = try_join!(
            self.consent.counted(subject_ids.clone()),
            usage::known(self.store.reads(), &subject_ids),
        )?;
        let (mut there, mut new) = (RoaringBitmap::new(), Vec::new());
        for (subject_id, _) in subject_ids.into_iter().zip(counted).filter(|(_, counted)| *counted)
        {
            match known.get(&subject_id).filter(|held| held.agreed.until.holds(now)) {
                Some(held) => drop(there.insert(held.ordinal)),
                None => new.push(subject_id),
            }
        }
        if there.is_empty() && new.is_empty() {
            return Ok(());
        }
        let (there, new) = (&there, &new);
        let record = |tx: Tx| async move {
            if let Some(()) = requests::replay(&*tx, request).await? {
                return Ok(());
            }
            let mut people = there.clone();
            if !new.is_empty() {
                people.extend(self.admit(&tx, new).await?);
            }
            if people.is_empty() {
                return Ok(());
            }
            usage::add(&tx, app_id, day, &people).await?;
            requests::record(&tx, request, &(), now).await
        };
        self.store.locking("record_activity", record).await
    }

    /// Gives people ordinals who are not counted yet.
    ///
    /// consent-svc is asked again, while nobody else adds or removes people: whoever withdraws after
    /// its answer is removed by the follower of its feed, who waits until these are stored.
    async fn admit(&self, tx: &Tx, subject_ids: &[String]) -> Result<Vec<u32>, Error> {
        let people = usage::people(tx).await?;
        let agreed = timeout(PATIENCE, self.consent.agreed_to_count(subject_ids.to_vec())).await;
        let agreed = agreed.map_err(|_| Error::ConsentTimeout)??;
        let agreed: Vec<_> = subject_ids.iter().map(String::as_str).zip(agreed).collect();
        people.admit(tx, &agreed, self.now()).await
    }

    /// The figures of days from one to another, of an app or, without a name, across all.
    pub(crate) async fn get_usage(
        &self,
        app_id: &str,
        first: Day,
        last: Day,
    ) -> Result<Vec<(Day, DayFigures)>, Error> {
        usage::figures(self.store.reads(), app_id, first, last).await
    }

    /// Draws the figures of all days that are over, and drops what no figure needs any more.
    pub(crate) async fn draw_figures(&self) -> Result<(), Error> {
        let db = self.store.reads();
        usage::expire(db, self.now()).await?;
        loop {
            let day = usage::calendar(db).await?.next_day;
            if day >= first_open(Day::of(self.now())) {
                return usage::forget_activity(db, day.month_begins()).await;
            }
            let close = |tx: Tx| async move { usage::close(&tx, day).await };
            self.store.locking("close_usage_day", close).await?;
            self.following.fresh().await?;
            let figures = &self.drawn(day).await?;
            let keep = |tx: Tx| async move { usage::keep(&tx, day, figures).await };
            self.store.locking("keep_usage_figures", keep).await?;
        }
    }

    /// Counts a day chunk by chunk and draws its figures.
    async fn drawn(&self, day: Day) -> Result<BTreeMap<String, DayFigures>, Error> {
        let (db, now) = (self.store.reads(), self.now());
        let scopes = self.config.usage.apps.iter().map(String::as_str).chain([ACROSS]);
        let mut tallies: Tallies =
            scopes.map(|scope| (scope.to_owned(), Tally::default())).collect();
        let mut from = 0;
        while let Some((chunk, active)) =
            usage::next_chunk(db, from, day.month_begins(), day).await?
        {
            let live = usage::live(db, chunk, now).await?;
            let counted = move || count(tallies, active, day, &live);
            tallies = Self::compute(counted).await?;
            from = chunk + 1;
        }
        let mut rng = rand::rng();
        let draw = |(scope, tally)| (scope, self.figure_noise.draw(&tally, now, &mut rng));
        Ok(tallies.into_iter().map(draw).collect())
    }
}

/// By app, and across.
type Tallies = BTreeMap<String, Tally>;

/// Adds one chunk. Apps that are not counted any more still count across.
fn count(mut tallies: Tallies, active: Vec<Active>, day: Day, live: &RoaringBitmap) -> Tallies {
    let mut apps: BTreeMap<String, [RoaringBitmap; MONTH]> = BTreeMap::new();
    let mut across: [RoaringBitmap; MONTH] = Default::default();
    for Active { app_id, day: on, people } in active {
        let Some(before) = day.since(on).filter(|before| *before < MONTH) else { continue };
        across[before] |= &people;
        apps.entry(app_id).or_default()[before] |= people;
    }
    apps.insert(ACROSS.to_owned(), across);
    for (scope, active) in &apps {
        if let Some(tally) = tallies.get_mut(scope) {
            tally.add(active, live);
        }
    }
    tallies
}
