//! `assent audience estimate`.

use proto::audience::v1::{
    EstimateReachRequest, Expression, ExpressionTerm, expression_term::Term,
};

use super::{AsBusiness, size};
use crate::{exit::Error, output::Output, request::RequestId};

const EXAMPLES: &str = "\
Examples:
  assent audience estimate aud_01                 how many people are in it
  assent audience estimate aud_01 aud_02          in one of the two
  assent audience estimate aud_01 --and aud_02    in both
  assent audience estimate aud_01 --not aud_02    in the first, not in the second";

/// How many people are in audiences, together: a range, never below a minimum.
///
/// Each new question takes one of the releases that the owner of the business has in 30 days; the
/// same question about the same lists gets the same answer and takes none.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// In at least one of these.
    #[arg(required = true)]
    audiences: Vec<String>,
    /// And in this one. May be given several times.
    #[arg(long = "and", value_name = "AUDIENCE")]
    intersect: Vec<String>,
    /// And not in this one. May be given several times.
    #[arg(long = "not", value_name = "AUDIENCE")]
    exclude: Vec<String>,
    #[command(flatten)]
    request_id: RequestId,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    business: AsBusiness,
}

/// Asks.
pub(super) async fn run(arguments: &Arguments) -> Result<(), Error> {
    let mut asked = arguments.business.open()?;
    let request = EstimateReachRequest {
        request_id: arguments.request_id.get(),
        expression: Some(Expression {
            include: terms(&arguments.audiences),
            intersect: terms(&arguments.intersect),
            exclude: terms(&arguments.exclude),
        }),
    };
    let estimated = asked.api.estimate_reach(request).await;
    let estimated = estimated.map_err(|status| asked.told(&status))?.into_inner();
    let reach = asked.present(estimated.reach)?;
    arguments.output.one(&reach, format!("{} people", size(Some(&reach))))
}

fn terms(audiences: &[String]) -> Vec<ExpressionTerm> {
    let term = |id: &String| ExpressionTerm { term: Some(Term::AudienceId(id.clone())) };
    audiences.iter().map(term).collect()
}
