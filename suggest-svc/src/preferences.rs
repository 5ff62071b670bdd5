//! What a person says of who may find them and whom they block. It is their own word, not data
//! transferred about them: it needs no consent, and it is kept while they have none, so that
//! nobody who was shut out is let in again by a consent withdrawn and given anew.

use prost::Message;

use crate::{
    domain::{Settings, Subject},
    error::Error,
    service::Suggest,
    store::Once,
};

impl Suggest {
    /// Changes a person's settings.
    pub(crate) async fn update_settings<R: Message + Default>(
        &self,
        once: &Once,
        subject: &Subject,
        settings: Settings,
        answer: impl Fn() -> R + Sync,
    ) -> Result<R, Error> {
        let answer = &answer;
        let answer = self
            .store
            .once("update settings", once, |writing| async move {
                writing.put_settings(subject, settings).await?;
                Ok(answer())
            })
            .await?;
        self.live.written();
        Ok(answer)
    }

    /// Neither is suggested to the other any more.
    pub(crate) async fn block<R: Message + Default>(
        &self,
        once: &Once,
        subject: &Subject,
        blocked: &Subject,
        answer: impl Fn() -> R + Sync,
    ) -> Result<R, Error> {
        let answer = &answer;
        let answer = self
            .store
            .once("block", once, |writing| async move {
                // There is nobody any more whom it would keep away.
                if writing.is_erased(&self.seal.person(blocked)).await? {
                    return Ok(answer());
                }
                writing.block(subject, blocked, once.at, self.max_blocks).await?;
                writing.review(std::slice::from_ref(blocked)).await?;
                Ok(answer())
            })
            .await?;
        self.live.written();
        self.reviews.notify_one();
        Ok(answer)
    }

    /// Ends a block.
    pub(crate) async fn unblock<R: Message + Default>(
        &self,
        once: &Once,
        subject: &Subject,
        blocked: &Subject,
        answer: impl Fn() -> R + Sync,
    ) -> Result<R, Error> {
        let answer = &answer;
        let answer = self
            .store
            .once("unblock", once, |writing| async move {
                writing.unblock(subject, blocked).await?;
                Ok(answer())
            })
            .await?;
        self.live.written();
        Ok(answer)
    }
}
