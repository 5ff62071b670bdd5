//! Assent's contract: the code generated from the `.proto` files beside this crate, the
//! descriptor sets, what the contract says of each method ([`contract`]), and the checks that
//! every request passes before a service looks at it ([`Checked`]).
//!
//! This is the only thing that services share about each other.

mod checked;
pub mod codec;
pub mod contract;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod rules;
pub mod status;

pub use checked::{At, Checked, FieldErrors};
pub use rules::is_subject_id;

/// The whole contract: a `google.protobuf.FileDescriptorSet` with imports, for the services.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor_set.bin"));

/// The contract as outside callers may see it: the same, without the INTERNAL methods.
pub const PUBLIC_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/public_descriptor_set.bin"));

/// `impl Checked` for every message of a request, written by the build script.
mod generated {
    #![allow(clippy::pedantic)]
    use crate::{At, Checked, FieldErrors, rules};
    include!(concat!(env!("OUT_DIR"), "/checks.rs"));
}

macro_rules! packages {
    ($($name:ident: $doc:literal),* $(,)?) => {$(
        #[doc = $doc]
        pub mod $name {
            #[doc = $doc]
            // Generated: its documentation is the contract's comments.
            #[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
            pub mod v1 {
                include!(concat!(env!("OUT_DIR"), "/assent.", stringify!($name), ".v1.rs"));
            }
        }
    )*};
}

packages! {
    audience: "Customer lists, matching, reach, serving: `assent.audience.v1`.",
    consent: "Policies, decisions, checks, receipts, the change feed: `assent.consent.v1`.",
    errors: "The reasons of errors: `assent.errors.v1`.",
    gateway: "Account-wide operations: `assent.gateway.v1`.",
    options: "What the contract says of methods and fields: `assent.options.v1`.",
    suggest: "Contacts, connections, suggestions, spam signals: `assent.suggest.v1`.",
    types: "What more than one service's messages need: `assent.types.v1`.",
}
