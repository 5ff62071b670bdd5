//! What a sender of lists and a registering app can rely on, through the public API only.
#![allow(clippy::unwrap_used)]

mod digests;
mod emails;
mod external_ids;
mod match_keys;
mod phones;
mod properties;
mod secrecy;

use identifiers::{Kind, Profile, Region, Rejection, normalise};

/// Every form of `raw`, in the order of `Profile::ALL`: meta, google, uid2.
fn forms(kind: Kind, raw: &str, region: Option<&str>) -> Result<[String; 3], Rejection> {
    let region: Option<Region> = region.map(|code| code.parse().unwrap());
    let form = |profile| normalise(kind, profile, raw, region).map(|n| n.expose().to_owned());
    Ok([form(Profile::Meta)?, form(Profile::Google)?, form(Profile::Uid2)?])
}
