//! `assent audience business`.

use proto::audience::v1::{PutBusinessRequest, business_service_client::BusinessServiceClient};

use crate::{
    client::Connection,
    exit::Error,
    output::{Output, plain},
    request::RequestId,
};

const EXAMPLES: &str = "\
Examples:
  assent audience business corner-bakery --owner bakery-ltd --name \"The Bakery\"";

/// Makes a business known, so that it can have audiences. For operators.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The id of the business, as its tokens say it.
    business: String,
    /// Its legal owner, who may have several: sizes are budgeted together.
    #[arg(long, value_name = "ID")]
    owner: String,
    /// What it is called.
    #[arg(long, value_name = "NAME")]
    name: String,
    #[command(flatten)]
    request_id: RequestId,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

/// Makes it known.
pub(super) async fn run(arguments: &Arguments) -> Result<(), Error> {
    let client = arguments.connection.as_admin()?;
    let request = PutBusinessRequest {
        request_id: arguments.request_id.get(),
        business_id: arguments.business.clone(),
        display_name: arguments.name.clone(),
        owner_id: arguments.owner.clone(),
    };
    let put = BusinessServiceClient::new(client.session()).put_business(request).await;
    let answer = put.map_err(|status| client.told(&status))?.into_inner();
    let known = format!("{} ({}) is known.", plain(&arguments.name), arguments.business);
    arguments.output.one(&answer, known)
}
