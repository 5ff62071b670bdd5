//! The app says who is connected, and who no longer is.

use prost::Message;
use service_kit::clock::UnixMillis;

use crate::{
    consents::Answers,
    domain::Subject,
    error::Error,
    service::Suggest,
    store::{Once, ordered},
};

/// Two people who know each other, and since when, if that is known.
pub(crate) struct Connection {
    pub(crate) one: Subject,
    pub(crate) other: Subject,
    pub(crate) at: Option<UnixMillis>,
}

impl Suggest {
    /// What the people at the ends have agreed to.
    pub(crate) async fn ends_agreed(&self, connections: &[Connection]) -> Result<Answers, Error> {
        self.ask(connections.iter().flat_map(|pair| [&pair.one, &pair.other]).collect()).await
    }

    /// Stores the connections of which both ends have a consent to the transfer in force, as
    /// [`Suggest::ends_agreed`] was told. `answer` is told the indexes of the others.
    pub(crate) async fn put_connections<R: Message + Default>(
        &self,
        once: &Once,
        connections: &[Connection],
        consents: &Answers,
        answer: impl Fn(&[usize]) -> R + Sync,
    ) -> Result<R, Error> {
        // So that what is stored of these people is known.
        self.live.read(|_| ()).await?;
        let agreed =
            |pair: &Connection| consents.is_granted(&pair.one) && consents.is_granted(&pair.other);
        let ends = connections.iter().filter(|pair| agreed(pair));
        let ends = ends.filter_map(|pair| Some((pair, pair.at?)));
        let bursts = self.bursts(ends.flat_map(|(pair, at)| [(&pair.one, at), (&pair.other, at)]));
        // In the order in which they are stored: made now, while nobody waits for this write.
        let mut order: Vec<usize> = (0..connections.len()).collect();
        order.sort_by_key(|index| ordered(&connections[*index].one, &connections[*index].other));
        let (order, agreed, answer, bursts) = (&order, &agreed, &answer, &bursts);
        let answer = self
            .store
            .once("put connections", once, |writing| async move {
                let consents = &*self.still(&writing, consents).await?;
                let pairs = connections.iter().filter(|pair| agreed(pair));
                let people = pairs.flat_map(|pair| [&pair.one, &pair.other]);
                let (settled, now) = (self.settled(&writing, consents), self.clock.now());
                let in_force = writing.put_consents(consents, people, settled, now).await?;
                let (mut stored, mut awaiting) = (Vec::new(), Vec::new());
                for index in order {
                    let pair = &connections[*index];
                    if in_force.contains(&pair.one) && in_force.contains(&pair.other) {
                        stored.push((&pair.one, &pair.other, pair.at));
                    } else {
                        awaiting.push(*index);
                    }
                }
                awaiting.sort_unstable();
                writing.connect(&stored).await?;
                writing.review(bursts).await?;
                Ok(answer(&awaiting))
            })
            .await?;
        self.live.written();
        if !bursts.is_empty() {
            self.reviews.notify_one();
        }
        Ok(answer)
    }

    /// Removes connections. Nobody's consent is needed for that.
    pub(crate) async fn remove_connections<R: Message + Default>(
        &self,
        once: &Once,
        connections: &[(Subject, Subject)],
        answer: impl Fn() -> R + Sync,
    ) -> Result<R, Error> {
        let answer = &answer;
        let answer = self
            .store
            .once("remove connections", once, |writing| async move {
                writing.disconnect(connections).await?;
                Ok(answer())
            })
            .await?;
        self.live.written();
        Ok(answer)
    }
}
