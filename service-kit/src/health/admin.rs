//! The admin endpoints, in plain HTTP on their own address: `/metrics`, `/livez`, `/readyz`.

use std::fmt::Write as _;

use axum::{Router, http::StatusCode, response::IntoResponse, routing::get};
use http::header::CONTENT_TYPE;

use super::Readiness;
use crate::telemetry::ServiceMetrics;

/// The admin endpoints of one service.
pub(crate) fn admin_router(readiness: Readiness, metrics: ServiceMetrics) -> Router {
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(move || std::future::ready(readyz(&readiness))))
        .route("/metrics", get(move || std::future::ready(scrape(&metrics))))
}

/// 200 when ready, else 503; either way a line for each probe.
fn readyz(readiness: &Readiness) -> impl IntoResponse + use<> {
    let state = readiness.subscribe().borrow().clone();
    let (status, summary) = match state.is_ready() {
        true => (StatusCode::OK, "ready"),
        false if state.draining => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    };
    let mut text = format!("{summary}\n");
    for (name, required, ok) in &state.answers {
        let answer = if *ok { "ok" } else { "no answer" };
        let weight = if *required { "" } else { " (optional)" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}: {answer}{weight}");
    }
    (status, text)
}

fn scrape(metrics: &ServiceMetrics) -> impl IntoResponse + use<> {
    match metrics.render() {
        Ok(text) => ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
