//! Which upstream has which method: the contract's PUBLIC methods, by path.

use std::{collections::HashMap, sync::Arc};

use http::uri::PathAndQuery;
use opentelemetry::metrics::Meter;
use proto::{
    contract::{self, Method},
    options::v1::Exposure,
};
use service_kit::boot::BootError;

use crate::{
    config::Upstreams,
    upstream::{self, Repeat, Upstream},
};

/// The package whose methods the gateway answers itself.
const OWN_PACKAGE: &str = "assent.gateway.v1";

/// The services' names, as callers hear them.
pub(crate) const CONSENT: &str = "consent-svc";
pub(crate) const AUDIENCE: &str = "audience-svc";
pub(crate) const SUGGEST: &str = "suggest-svc";

/// The services behind the gateway.
#[derive(Clone)]
pub(crate) struct Services {
    pub(crate) consent: Arc<Upstream>,
    pub(crate) audience: Arc<Upstream>,
    pub(crate) suggest: Arc<Upstream>,
}

impl Services {
    /// As configured; `meter` reports on them.
    pub(crate) fn new(config: &Upstreams, meter: &Meter) -> Result<Self, BootError> {
        let this = Self {
            consent: Upstream::open("consent", CONSENT, &config.consent)?.into(),
            audience: Upstream::open("audience", AUDIENCE, &config.audience)?.into(),
            suggest: Upstream::open("suggest", SUGGEST, &config.suggest)?.into(),
        };
        upstream::report(meter, &[&this.consent, &this.audience, &this.suggest]);
        Ok(this)
    }

    /// The service that has the methods of a package.
    fn of_package(&self, package: &str) -> Option<&Arc<Upstream>> {
        match package {
            "assent.consent.v1" => Some(&self.consent),
            "assent.audience.v1" => Some(&self.audience),
            "assent.suggest.v1" => Some(&self.suggest),
            _ => None,
        }
    }
}

/// Where a method is answered.
pub(crate) enum Route {
    /// By a service behind the gateway, at this path of it; sent again as this says.
    Forward(Arc<Upstream>, PathAndQuery, Repeat),
    /// Here.
    Own,
}

/// Every method that callers outside may name, by path.
pub(crate) struct Routes(HashMap<&'static str, Route>);

impl Routes {
    /// The routes that the contract asks for.
    ///
    /// # Errors
    /// When the contract has a PUBLIC method that no service is configured for.
    pub(crate) fn of_contract(services: &Services) -> Result<Self, BootError> {
        let methods = contract::methods().filter(|method| is_public(method));
        let routes = methods.map(|method| Ok((method.path.as_str(), route(method, services)?)));
        routes.collect::<Result<_, BootError>>().map(Self)
    }

    /// Where the method at a path is answered.
    pub(crate) fn at(&self, path: &str) -> Option<&Route> {
        self.0.get(path)
    }
}

/// Whether callers outside may know of the method.
pub(crate) fn is_public(method: &Method) -> bool {
    method.exposure == Exposure::Public
}

/// Every service of the contract with PUBLIC methods behind the gateway, once, and the upstream
/// that has it.
pub(crate) fn public_services(services: &Services) -> Vec<(&'static str, Arc<Upstream>)> {
    let methods = contract::methods().filter(|method| is_public(method));
    let mut found: Vec<_> = methods
        .filter_map(|method| {
            Some((method.service.as_str(), services.of_package(method.package())?))
        })
        .map(|(service, upstream)| (service, upstream.clone()))
        .collect();
    found.sort_by_key(|(service, _)| *service);
    found.dedup_by_key(|(service, _)| *service);
    found
}

fn route(method: &'static Method, services: &Services) -> Result<Route, BootError> {
    if method.package() == OWN_PACKAGE {
        return Ok(Route::Own);
    }
    let upstream = services.of_package(method.package()).ok_or_else(|| {
        BootError::other(format!("the gateway has no upstream for {}", method.package()))
    })?;
    let path = PathAndQuery::from_static(&method.path);
    Ok(Route::Forward(upstream.clone(), path, Repeat::of(method)))
}
