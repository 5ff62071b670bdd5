// `fetch` as a page in a browser has it: Node's own does not keep to CORS (the part of
// https://fetch.spec.whatwg.org that says which pages may call which servers), so this does.
"use strict";

/// The browser does not let the page call, or read the answer.
class Blocked extends Error {}

/// What may be sent, or read, without being asked for.
const FREE = ["accept", "content-length"];
const names = (list) => (list ?? "").split(",").map((name) => name.trim().toLowerCase());

function check(origin, answer) {
  const allowed = answer.headers.get("access-control-allow-origin");
  if (![origin, "*"].includes(allowed)) throw new Blocked(`${origin}: only ${allowed} may`);
}

/// For pages from this origin.
function fetchFrom(origin) {
  return async (url, init) => {
    const headers = new Headers(init.headers);
    const sent = [...headers.keys()].filter((name) => !FREE.includes(name)).sort();
    // The preflight, which no client may leave out: no gRPC-Web call is a simple one.
    const asked = {
      origin,
      "access-control-request-method": init.method,
      "access-control-request-headers": sent.join(","),
    };
    const preflight = await fetch(url, { method: "OPTIONS", headers: asked });
    if (!preflight.ok) throw new Blocked(`the preflight: ${preflight.status}`);
    check(origin, preflight);
    const method = names(preflight.headers.get("access-control-allow-methods"));
    if (!method.includes(init.method.toLowerCase())) throw new Blocked(`method ${init.method}`);
    const allowed = names(preflight.headers.get("access-control-allow-headers"));
    const refused = sent.filter((name) => !allowed.includes(name));
    if (refused.length > 0) throw new Blocked(`headers ${refused}`);

    headers.set("origin", origin);
    const answer = await fetch(url, { ...init, headers });
    check(origin, answer);
    const exposed = [...FREE, ...names(answer.headers.get("access-control-expose-headers"))];
    exposed.push("content-type");
    const shown = [...answer.headers].filter(([name]) => exposed.includes(name));
    return new Response(answer.body, { status: answer.status, headers: shown });
  };
}

module.exports = { Blocked, fetchFrom };
