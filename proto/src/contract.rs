//! What the contract says of each method, read from the descriptor set.

use std::{collections::HashMap, sync::LazyLock, time::Duration};

use prost_reflect::{DescriptorPool, MethodDescriptor};

use crate::{
    DESCRIPTOR_SET,
    options::v1::{Exposure, Idempotency, MethodRule, QuotaClass, Role},
};

/// A method of the contract and its rule.
#[derive(Debug, Clone)]
pub struct Method {
    /// The HTTP/2 path: `/assent.consent.v1.ConsentService/Check`.
    pub path: String,
    /// The full name of its service: `assent.consent.v1.ConsentService`.
    pub service: String,
    /// Its name within the service: `Check`.
    pub name: String,
    /// Whether the gateway serves it.
    pub exposure: Exposure,
    /// Who may call it.
    pub roles: Roles,
    /// What happens when the same request arrives twice.
    pub idempotency: Idempotency,
    /// The time a call may take when the caller sends no deadline.
    pub default_deadline: Duration,
    /// The quota that a call draws on at the gateway.
    pub quota_class: QuotaClass,
    /// Whether the caller sends a stream.
    pub client_streaming: bool,
    /// Whether the service answers with a stream.
    pub server_streaming: bool,
}

impl Method {
    /// The contract's package of the method: `assent.consent.v1`.
    pub fn package(&self) -> &str {
        self.service.rsplit_once('.').map_or("", |(package, _)| package)
    }
}

/// A set of roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles(u32);

impl Roles {
    /// Whether the role is in the set. `ROLE_UNSPECIFIED` never is.
    pub fn contains(self, role: Role) -> bool {
        role != Role::Unspecified && self.0 & (1 << role as u32) != 0
    }

    /// Whether no role is in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        let known = roles.into_iter().filter(|role| *role != Role::Unspecified);
        Self(known.fold(0, |bits, role| bits | 1 << role as u32))
    }
}

/// The descriptors of the whole contract.
pub fn pool() -> &'static DescriptorPool {
    static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
        // Unwrap safety: the build script decoded these same bytes.
        #[allow(clippy::unwrap_used)]
        DescriptorPool::decode(DESCRIPTOR_SET).unwrap()
    });
    &POOL
}

/// Every method of the contract.
pub fn methods() -> impl Iterator<Item = &'static Method> {
    METHODS.values()
}

/// The method at an HTTP/2 path.
pub fn method(path: &str) -> Option<&'static Method> {
    METHODS.get(path)
}

static METHODS: LazyLock<HashMap<String, Method>> = LazyLock::new(|| {
    let services = pool().services();
    let methods = services.flat_map(|service| service.methods().collect::<Vec<_>>());
    methods.map(|method| read(&method)).map(|method| (method.path.clone(), method)).collect()
});

fn read(method: &MethodDescriptor) -> Method {
    let rule = rule(method).unwrap_or_default();
    let deadline = rule.default_deadline.unwrap_or_default();
    Method {
        path: format!("/{}/{}", method.parent_service().full_name(), method.name()),
        service: method.parent_service().full_name().to_owned(),
        name: method.name().to_owned(),
        exposure: rule.exposure(),
        roles: rule.roles().collect(),
        idempotency: rule.idempotency(),
        default_deadline: Duration::try_from(deadline).unwrap_or_default(),
        quota_class: rule.quota_class(),
        client_streaming: method.is_client_streaming(),
        server_streaming: method.is_server_streaming(),
    }
}

fn rule(method: &MethodDescriptor) -> Option<MethodRule> {
    let extension = pool().get_extension_by_name("assent.options.v1.method")?;
    let options = method.options();
    if !options.has_extension(&extension) {
        return None;
    }
    options.get_extension(&extension).as_message()?.transcode_to().ok()
}
