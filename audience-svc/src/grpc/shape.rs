//! Domain values as the contract shows them.

use std::time::Duration;

use proto::audience::v1 as wire;

use crate::domain::{
    Audience, BatchReport, Business, CustomerSource, Released, Upload, UploadMode, UploadState,
    VersionStanding, VersionState,
};

use super::identifier;

pub(super) fn business(business: Business) -> wire::Business {
    wire::Business {
        business_id: business.business_id,
        display_name: business.display_name,
        owner_id: business.owner_id,
        created_at: Some(business.created_at.into()),
    }
}

pub(super) fn audience(audience: Audience) -> wire::Audience {
    let source = match audience.source {
        CustomerSource::UserProvided => wire::CustomerSource::UserProvided,
        CustomerSource::PartnerProvided => wire::CustomerSource::PartnerProvided,
        CustomerSource::Both => wire::CustomerSource::Both,
    };
    let state =
        if audience.has_list() { wire::AudienceState::Ready } else { wire::AudienceState::Empty };
    wire::Audience {
        customer_source: source.into(),
        membership_lifetime: Some(duration(audience.lifetime.get())),
        state: state.into(),
        size: audience.size.map(reach),
        targetable: audience.targetable(),
        advice: audience.advice(),
        created_at: Some(audience.created_at.into()),
        updated_at: Some(audience.updated_at.into()),
        audience_id: audience.audience_id,
        display_name: audience.display_name,
        description: audience.description,
    }
}

/// The one place where a size becomes an answer: it takes a release and nothing else.
pub(super) fn reach(released: Released) -> wire::ReachEstimate {
    let (lower_bound, upper_bound) = released.bounds();
    wire::ReachEstimate {
        below_minimum: released.below_minimum(),
        lower_bound,
        upper_bound,
        released_at: Some(released.at().into()),
    }
}

pub(super) fn match_key_version(standing: VersionStanding) -> wire::MatchKeyVersion {
    let state = match standing.state {
        VersionState::Next => wire::MatchKeyVersionState::Next,
        VersionState::Current => wire::MatchKeyVersionState::Current,
        VersionState::Older => wire::MatchKeyVersionState::Older,
        VersionState::Unconfigured => wire::MatchKeyVersionState::Unconfigured,
    };
    wire::MatchKeyVersion {
        version: standing.version.into(),
        state: state.into(),
        people: standing.people,
        replicas: few(standing.replicas),
    }
}

/// A number that never comes near the limit.
pub(super) fn few(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

pub(super) fn upload(upload: Upload, missing_batches: Vec<u32>) -> wire::Upload {
    let mode = match upload.mode {
        UploadMode::Add => wire::UploadMode::Add,
        UploadMode::Remove => wire::UploadMode::Remove,
        UploadMode::Replace => wire::UploadMode::Replace,
    };
    let state = match upload.state {
        UploadState::Open => wire::UploadState::Open,
        UploadState::Committed => wire::UploadState::Committed,
        UploadState::Aborted => wire::UploadState::Aborted,
        UploadState::Expired => wire::UploadState::Expired,
    };
    wire::Upload {
        mode: mode.into(),
        state: state.into(),
        rows_received: upload.counts.received,
        rows_invalid: upload.counts.invalid(),
        rows_duplicate: upload.counts.duplicate,
        batches_received: upload.batches.received,
        missing_batches,
        expires_at: Some(upload.expires_at.into()),
        created_at: Some(upload.created_at.into()),
        last_batch_number: upload.batches.last,
        advice: upload.advice(),
        upload_id: upload.upload_id,
        audience_id: upload.audience_id,
    }
}

pub(super) fn batch(batch_number: u32, report: BatchReport) -> wire::AppendUploadResponse {
    // A batch has at most ten thousand rows.
    let count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    wire::AppendUploadResponse {
        batch_number,
        rows_received: count(report.counts.received),
        rows_invalid: count(report.counts.invalid()),
        rows_duplicate: count(report.counts.duplicate),
        rejections: identifier::rejections(report.rejections),
    }
}

fn duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        // Less than a thousand million: it fits.
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0),
    }
}
