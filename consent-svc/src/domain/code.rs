//! Reasons as numbers, for whoever stores answers.

use super::Reason;

/// Never reordered, only added to.
const REASONS: [Reason; 16] = [
    Reason::Explicit,
    Reason::DefaultAfterLapse,
    Reason::NoticeServed,
    Reason::WindowPending,
    Reason::NoticeNotServed,
    Reason::NotAsked,
    Reason::Withdrawn,
    Reason::Expired,
    Reason::PrerequisiteDenied,
    Reason::ObjectionSignal,
    Reason::GuardianRequired,
    Reason::UnknownSubject,
    Reason::NoPolicy,
    Reason::NoReceivingAccount,
    Reason::Erased,
    Reason::LinkedSubject,
];

impl Reason {
    /// The reason's number: below 128, and the same in every release.
    pub fn code(self) -> u8 {
        let place = REASONS.iter().position(|reason| *reason == self).unwrap_or_default();
        u8::try_from(place).unwrap_or_default()
    }

    /// The reason of this number.
    pub fn from_code(code: u8) -> Option<Self> {
        REASONS.get(usize::from(code)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_of_one_reason() {
        for reason in REASONS {
            assert_eq!(Reason::from_code(reason.code()), Some(reason));
        }
        assert_eq!(Reason::from_code(16), None);
    }
}
