//! Requests as domain values. What is wrong is added to the request's other bad fields.

use std::{collections::HashSet, time::Duration};

use identifiers::Region;
use proto::{At, FieldErrors, audience::v1 as wire, errors::v1::Reason};
use tonic::Status;

use crate::{
    domain::{CustomerSource, Expression, ExpressionInvalid, Lifetime, Term, UploadMode},
    error::Error,
};

pub(super) fn source(sent: wire::CustomerSource, bad: &mut FieldErrors) -> Option<CustomerSource> {
    match sent {
        wire::CustomerSource::UserProvided => Some(CustomerSource::UserProvided),
        wire::CustomerSource::PartnerProvided => Some(CustomerSource::PartnerProvided),
        wire::CustomerSource::Both => Some(CustomerSource::Both),
        wire::CustomerSource::Unspecified => {
            bad.add("customer_source", "required");
            None
        }
    }
}

pub(super) fn mode(sent: wire::UploadMode, bad: &mut FieldErrors) -> Option<UploadMode> {
    match sent {
        wire::UploadMode::Add => Some(UploadMode::Add),
        wire::UploadMode::Remove => Some(UploadMode::Remove),
        wire::UploadMode::Replace => Some(UploadMode::Replace),
        wire::UploadMode::Unspecified => {
            bad.add("mode", "required");
            None
        }
    }
}

/// A lifetime, if one was sent.
pub(super) fn lifetime(
    sent: Option<&prost_types::Duration>,
    bad: &mut FieldErrors,
) -> Option<Lifetime> {
    // A negative one is out of range like one that is too short.
    let duration = Duration::try_from(*sent?).unwrap_or_default();
    bad.keep("membership_lifetime", Lifetime::new(duration))
}

/// A region, if one was sent.
pub(super) fn region(at: impl Fn() -> String, sent: &str, bad: &mut FieldErrors) -> Option<Region> {
    if sent.is_empty() {
        return None;
    }
    bad.keep(at(), sent.parse())
}

/// The expression of a request whose other bad fields are `bad`; else all that is wrong with the
/// request.
#[allow(clippy::result_large_err)] // tonic's own error type
pub(super) fn expression(
    sent: Option<&wire::Expression>,
    bad: FieldErrors,
) -> Result<Expression, Status> {
    let reason = if bad.is_empty() { Reason::ExpressionInvalid } else { Reason::FieldsInvalid };
    let mut reading = ExpressionReading { named: HashSet::new(), bad };
    let read = sent.and_then(|sent| reading.expression(&At::Root.field("expression"), sent));
    reading.bad.finish_as(reason)?;
    read.ok_or_else(|| Error::from(ExpressionInvalid::Empty).into())
}

/// Reads an expression to its end, whatever is wrong with it.
struct ExpressionReading<'a> {
    named: HashSet<&'a str>,
    bad: FieldErrors,
}

impl<'a> ExpressionReading<'a> {
    /// The expression, without the terms that are bad.
    fn expression(&mut self, at: &At<'_>, sent: &'a wire::Expression) -> Option<Expression> {
        let asks = !sent.include.is_empty() || !sent.intersect.is_empty();
        let include = self.terms(at, "include", &sent.include);
        let intersect = self.terms(at, "intersect", &sent.intersect);
        let exclude = self.terms(at, "exclude", &sent.exclude);
        match Expression::new(include, intersect, exclude) {
            // It asks for somebody, by terms that are bad and named already.
            Err(ExpressionInvalid::Empty) if asks => None,
            read => self.bad.keep(at, read),
        }
    }

    fn terms(
        &mut self,
        at: &At<'_>,
        name: &'static str,
        sent: &'a [wire::ExpressionTerm],
    ) -> Vec<Term> {
        let mut terms = Vec::with_capacity(sent.len());
        for (index, sent) in sent.iter().enumerate() {
            terms.extend(self.term(&at.item(name, index), sent));
        }
        terms
    }

    fn term(&mut self, at: &At<'_>, sent: &'a wire::ExpressionTerm) -> Option<Term> {
        match &sent.term {
            Some(wire::expression_term::Term::AudienceId(id)) if !id.is_empty() => {
                if self.named.insert(id) {
                    return Some(Term::Audience(id.clone()));
                }
                self.bad.add(at.field("audience_id"), ExpressionInvalid::NamedTwice.to_string());
                None
            }
            Some(wire::expression_term::Term::Expression(inner)) => {
                let read = self.expression(&at.field("expression"), inner)?;
                Some(Term::Nested(Box::new(read)))
            }
            _ => {
                self.bad.add(at, ExpressionInvalid::TermEmpty.to_string());
                None
            }
        }
    }
}
