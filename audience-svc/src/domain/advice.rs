//! What a business should do next. Computed from what it sent and from what was released to it,
//! never from who matched.

use identifiers::Rejection;

use super::{Audience, Refusal, RowCounts, Upload, UploadState};

pub(crate) fn of_upload(upload: &Upload) -> String {
    let next = match upload.state {
        UploadState::Open if upload.batches.received == 0 => "Send batches, then commit.",
        UploadState::Open if upload.batches.has_gaps() => {
            "Send the missing batches, then the rest, then commit."
        }
        UploadState::Open => "Send the remaining batches, then commit.",
        UploadState::Committed if upload.validate_only => {
            "Nothing was stored. Open an upload without validate_only to apply the list."
        }
        UploadState::Committed => "Applied.",
        UploadState::Aborted => "Open another upload to change the list.",
        UploadState::Expired => "Nothing came for too long. Open another upload.",
    };
    join(shape(&upload.counts), next)
}

pub(crate) fn of_audience(audience: &Audience) -> String {
    if !audience.has_list() {
        return "Open an upload, send the list in batches, and commit it.".to_owned();
    }
    let next = match &audience.size {
        None => "Its size has not been released yet: ask EstimateReach.",
        Some(_) if !audience.size_is_current() => {
            "Its size is that of an earlier list: ask EstimateReach for that of the new one."
        }
        Some(size) if size.targetable() => "Ready to be targeted.",
        Some(_) => "Too small to be targeted: upload more customers.",
    };
    join(shape(&audience.last_upload), next)
}

fn join(first: Option<String>, then: &str) -> String {
    first.map_or_else(|| then.to_owned(), |first| format!("{first} {then}"))
}

/// A hint about the list's format, when much of it did not have the right shape.
fn shape(counts: &RowCounts) -> Option<String> {
    let (received, invalid) = (counts.received, counts.invalid());
    if received == 0 || invalid * 10 < received {
        return None;
    }
    let part = match invalid {
        all if all == received => "No row",
        most if most * 10 >= received * 9 => "Almost no row",
        half if half * 2 >= received => "Less than half of the rows",
        _ => "More than one row in ten was refused; not every row",
    };
    let hint = counts.main_refusal().map_or("Check the format.", hint);
    Some(format!("{part} had the right shape. {hint}"))
}

fn hint(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::KindUnknown => {
            "Say of each row whether it is an email, a phone or an external id."
        }
        Refusal::Value(Rejection::Empty) => "Leave out rows without a value.",
        Refusal::Value(Rejection::TooLong) => "Send one value a row.",
        Refusal::Value(Rejection::WrongLength) => {
            "Hashes must be SHA-256: 64 hexadecimal digits or the base64 of 32 bytes."
        }
        Refusal::Value(Rejection::NotADigest) => {
            "Hashes must be written in hexadecimal digits or base64."
        }
        Refusal::Value(Rejection::HashOfEmpty) => "Empty cells were hashed: leave them out.",
        Refusal::Value(Rejection::HashOfHash) => {
            "Hashes were encoded twice: encode the 32 bytes of the hash, not its text."
        }
        Refusal::Value(Rejection::NotAnEmail) => {
            "Check that the column of emails holds addresses and nothing else."
        }
        Refusal::Value(Rejection::NotAPhoneNumber) => {
            "Check that the column of phones holds numbers and nothing else."
        }
        Refusal::Value(Rejection::RegionNeeded) => {
            "Give the upload a default_region, or write phone numbers with their country code."
        }
        Refusal::Value(Rejection::InvalidForRegion) => {
            "Check the default_region and the country codes of the phone numbers."
        }
        Refusal::Value(Rejection::ControlCharacter) => {
            "External ids must not have line breaks or other control characters in them."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_with_the_wrong_shape_gets_a_hint_and_a_good_one_none() {
        let mut counts = RowCounts::stored(100, 0, &[]);
        assert_eq!(shape(&counts), None);
        for _ in 0..95 {
            counts.refuse(Refusal::Value(Rejection::RegionNeeded));
        }
        let hint = shape(&counts).unwrap_or_default();
        assert!(hint.starts_with("Almost no row") && hint.contains("default_region"), "{hint}");
    }
}
