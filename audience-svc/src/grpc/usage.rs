//! `UsageService`.

use std::sync::Arc;

use proto::{
    FieldErrors,
    audience::v1::{
        ActiveDays, DailyUsage, GetUsageRequest, GetUsageResponse, RecordActivityRequest,
        RecordActivityResponse, usage_service_server::UsageService,
    },
};
use service_kit::{
    auth::Caller,
    grpc::{open, open_message},
};
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::{
    Grpc,
    stream::{Answers, Conversation, answer_each},
};
use crate::{
    domain::{Day, DayFigures, first_open, is_open},
    error::Error,
    service::Service,
};

/// The most days of one answer.
const MAX_DAYS: usize = 400;

#[async_trait]
impl UsageService for Grpc {
    async fn record_activity(
        &self,
        request: Request<Streaming<RecordActivityRequest>>,
    ) -> Result<Response<Answers<RecordActivityResponse>>, Status> {
        let caller = super::upload::caller(&request)?;
        let recording = Recording { service: self.service.clone(), caller };
        let answers = answer_each(request.into_inner(), self.shutdown.clone(), recording);
        Ok(Response::new(answers))
    }

    async fn get_usage(
        &self,
        request: Request<GetUsageRequest>,
    ) -> Result<Response<GetUsageResponse>, Status> {
        let (_, message, mut bad) = open(request)?;
        let first = day("first_day", &message.first_day, &mut bad);
        let last = day("last_day", &message.last_day, &mut bad);
        if let (Some(first), Some(last)) = (first, last) {
            match last.since(first) {
                None => bad.add("last_day", "before first_day"),
                Some(days) if days >= MAX_DAYS => {
                    bad.add("last_day", format!("more than {MAX_DAYS} days in all"));
                }
                Some(_) => {}
            }
        }
        bad.finish()?;
        let (Some(first), Some(last)) = (first, last) else { return Err(unparsed()) };
        let found = self.service.get_usage(&message.app_id, first, last).await?;
        let days = found.into_iter().map(|(day, figures)| shape(day, figures)).collect();
        Ok(Response::new(GetUsageResponse { days }))
    }
}

/// One stream of activity.
struct Recording {
    service: Arc<Service>,
    caller: Caller,
}

impl Conversation for Recording {
    type Message = RecordActivityRequest;
    type Answer = RecordActivityResponse;

    async fn answer(
        &mut self,
        message: RecordActivityRequest,
    ) -> Result<RecordActivityResponse, Status> {
        let service = &self.service;
        let key = service.request(&self.caller, "record_activity", &message.request_id, &message);
        let (message, mut bad) = open_message(&self.caller, message)?;
        if !service.config.usage.apps.contains(&message.app_id) {
            bad.add("app_id", "not one of the apps whose usage is counted here");
        }
        let day = day("day", &message.day, &mut bad);
        let today = Day::of(service.now());
        if day.is_some_and(|day| !is_open(day, today)) {
            let open = format!("activity is taken of days from {} to {today}", first_open(today));
            bad.add("day", open);
        }
        bad.finish()?;
        let Some(day) = day else { return Err(unparsed()) };
        let mut subject_ids = message.subject_ids;
        subject_ids.sort_unstable();
        subject_ids.dedup();
        service.record_activity(&key, &message.app_id, day, subject_ids).await?;
        Ok(RecordActivityResponse { request_id: message.request_id })
    }
}

fn day(field: &str, sent: &str, bad: &mut FieldErrors) -> Option<Day> {
    bad.keep(field, sent.parse())
}

/// What the fields' checks have found already.
fn unparsed() -> Status {
    Error::Internal("a field was neither parsed nor refused").into()
}

fn shape(day: Day, figures: DayFigures) -> DailyUsage {
    let active_days = figures.active_days.into_iter();
    DailyUsage {
        day: day.to_string(),
        daily_users: figures.daily,
        weekly_users: figures.weekly,
        monthly_users: figures.monthly,
        released_at: Some(figures.at.into()),
        active_days: active_days.map(|(days, users)| ActiveDays { days, users }).collect(),
        minimum: figures.minimum,
        standard_deviation: figures.standard_deviation,
    }
}
