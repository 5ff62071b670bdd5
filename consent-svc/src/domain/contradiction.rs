//! What keeps a policy from being published.

use std::collections::HashSet;

use super::{
    AfterWindow, Complaint, ConsentRegime, Finding, LawfulBasis, Mechanism, OnLapse, Policy,
    Purpose, PurposeKind, Span, Spec,
};

/// The longest window or lifetime: ten years. Anything longer is a slip of the pen.
const LONGEST: Span = Span::from_days(3_653);

/// Everything in which a draft contradicts itself or a version that was ever published; nothing,
/// and it may be published. Fields are named from the policy's content on (`purposes[2].requires`).
pub fn contradictions<'a>(
    draft: &Policy,
    published: impl IntoIterator<Item = &'a Policy>,
) -> Vec<Finding> {
    let mut found = Found(Vec::new());
    let spec = &draft.spec;
    time(spec, &mut found);
    regime(spec, &mut found);
    duplicates(spec, &mut found);
    texts(spec, &mut found);
    requirements(spec, &mut found);
    let published: Vec<&Policy> = published.into_iter().collect();
    for (at, purpose) in spec.purposes.iter().enumerate() {
        meaning(&format!("purposes[{at}]"), purpose, draft, &published, &mut found);
    }
    found.0
}

struct Found(Vec<Finding>);

impl Found {
    fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.0.push(Finding::new(Complaint::FieldInvalid, field, description));
    }

    fn twice<'a>(&mut self, values: impl Iterator<Item = (String, &'a str)>) {
        let mut seen = HashSet::new();
        for (field, value) in values {
            if !seen.insert(value) {
                self.add(field, format!("{value} stands here twice"));
            }
        }
    }
}

fn time(spec: &Spec, found: &mut Found) {
    let lifetimes = spec.purposes.iter().enumerate().filter_map(|(at, purpose)| {
        Some((format!("purposes[{at}].consent_lifetime"), purpose.consent_lifetime?))
    });
    let windows = [("accept_within", spec.accept_within), ("change_within", spec.change_within)];
    let windows = windows.map(|(field, span)| (field.to_owned(), span));
    for (field, span) in windows.into_iter().chain(lifetimes) {
        if span.millis() <= 0 {
            found.add(field, "must be longer than nothing");
        } else if span > LONGEST {
            found.add(field, "longer than ten years");
        }
    }
}

/// Where silence is a no, nothing may turn it into a yes, and the way out never closes; nor does it
/// where a purpose rests on consent, which can be withdrawn at any time (GDPR Art. 7(3)). What the
/// regime is there is not the author's to say where the law says it.
fn regime(spec: &Spec, found: &mut Found) {
    let opt_in = spec.regime == ConsentRegime::OptIn;
    for (at, code) in spec.jurisdictions.iter().enumerate() {
        if !opt_in && code.silence_is_a_no() {
            let why = format!("{} in an OPT_OUT regime: silence is a no there", code.code());
            found.add(format!("jurisdictions[{at}]"), why);
        }
    }
    if spec.on_lapse == OnLapse::Default {
        if opt_in {
            found.add("on_lapse", "DEFAULT in an OPT_IN regime: silence is not a yes there");
        } else if spec.purposes.iter().all(|p| p.mechanism != Mechanism::OptOut) {
            // Beside OPT_OUT purposes an OPT_IN one may stand: it is denied on lapse.
            found.add("on_lapse", "DEFAULT, and no purpose is OPT_OUT");
        }
    }
    if spec.after_window == AfterWindow::Closed {
        if opt_in {
            found.add("after_window", "CLOSED in an OPT_IN regime: the way out never closes there");
        } else if spec.purposes.iter().any(|p| p.lawful_basis == LawfulBasis::Consent) {
            found.add("after_window", "CLOSED, and a purpose rests on consent");
        }
    }
    for (at, purpose) in spec.purposes.iter().enumerate() {
        mechanism(spec, at, purpose, found);
    }
}

/// Consent is an unambiguous indication by a clear affirmative action (GDPR Art. 4(11)): neither
/// being told nor saying nothing is one, nor leaving a box as it was ticked (Recital 32).
fn mechanism(spec: &Spec, at: usize, purpose: &Purpose, found: &mut Found) {
    let on_consent = purpose.lawful_basis == LawfulBasis::Consent;
    let by_silence = spec.on_lapse == OnLapse::Default && purpose.mechanism == Mechanism::OptOut;
    if !purpose.choosable() && on_consent {
        let why = "NOTICE_ONLY, and it rests on consent: being told is not agreeing";
        found.add(format!("purposes[{at}].mechanism"), why);
    }
    if on_consent && spec.regime == ConsentRegime::OptIn && purpose.mechanism == Mechanism::OptOut {
        let why = "OPT_OUT in an OPT_IN regime, and it rests on consent: a box that is ticked \
                   already is not consent";
        found.add(format!("purposes[{at}].mechanism"), why);
    }
    if by_silence && on_consent {
        let why = "OPT_OUT with on_lapse DEFAULT, and it rests on consent: silence is not consent";
        found.add(format!("purposes[{at}].mechanism"), why);
    }
    if !purpose.choosable() && purpose.consent_lifetime.is_some() {
        let why = "NOTICE_ONLY: there is no grant that could expire";
        found.add(format!("purposes[{at}].consent_lifetime"), why);
    }
}

fn duplicates(spec: &Spec, found: &mut Found) {
    let named = |field: &'static str, at: usize, rest: &str| format!("{field}[{at}]{rest}");
    let codes = spec.jurisdictions.iter().enumerate();
    found.twice(codes.map(|(at, code)| (named("jurisdictions", at, ""), code.code())));
    let notices = spec.notices.iter().enumerate();
    found.twice(notices.map(|(at, n)| (named("notices", at, ".locale"), n.locale.as_str())));
    let purposes = spec.purposes.iter().enumerate();
    found.twice(purposes.map(|(at, p)| (named("purposes", at, ".purpose_id"), p.id.as_str())));
    for (at, purpose) in spec.purposes.iter().enumerate() {
        let texts = purpose.texts.iter().enumerate();
        found.twice(
            texts.map(|(text, t)| {
                (format!("purposes[{at}].texts[{text}].locale"), t.locale.as_str())
            }),
        );
        let requires = purpose.requires.iter().enumerate();
        found.twice(
            requires.map(|(required, id)| {
                (format!("purposes[{at}].requires[{required}]"), id.as_str())
            }),
        );
    }
}

/// Who reads the notice in a language reads every purpose in it.
fn texts(spec: &Spec, found: &mut Found) {
    for (at, purpose) in spec.purposes.iter().enumerate() {
        let has = |locale: &str| purpose.texts.iter().any(|text| text.locale == locale);
        let missing: Vec<&str> =
            spec.notices.iter().map(|n| n.locale.as_str()).filter(|locale| !has(locale)).collect();
        if !missing.is_empty() {
            let why = format!("no text in {}, in which there is a notice", missing.join(", "));
            found.add(format!("purposes[{at}].texts"), why);
        }
    }
}

/// Requirements name purposes of the same policy, do not go in circles, and lead from every USE
/// to a TRANSFER: what did not move cannot be used there.
fn requirements(spec: &Spec, found: &mut Found) {
    let find = |id: &str| spec.purposes.iter().position(|purpose| purpose.id == id);
    for (at, purpose) in spec.purposes.iter().enumerate() {
        for (required, id) in purpose.requires.iter().enumerate() {
            if find(id).is_none() {
                let field = format!("purposes[{at}].requires[{required}]");
                found.add(field, format!("{id} is not a purpose of this policy"));
            }
        }
        let reached = reachable(spec, at);
        if reached.contains(&at) {
            found.add(
                format!("purposes[{at}].requires"),
                "requires itself, directly or in a circle",
            );
        }
        let transfers = |at: &usize| spec.purposes[*at].kind == PurposeKind::Transfer;
        if purpose.kind == PurposeKind::Use && !reached.iter().any(transfers) {
            found.add(format!("purposes[{at}].requires"), "a USE that requires no TRANSFER");
        }
    }
}

/// The places of the purposes that the one at a place requires; its own if it is in a circle.
fn reachable(spec: &Spec, from: usize) -> HashSet<usize> {
    let mut reached = HashSet::new();
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        for id in &spec.purposes[at].requires {
            let Some(next) = spec.purposes.iter().position(|purpose| purpose.id == *id) else {
                continue;
            };
            if reached.insert(next) {
                open.push(next);
            }
        }
    }
    reached
}

/// A purpose id means the same for ever: what people chose about it stays true. What is done (kind,
/// requirements, data, recipients, receiving app) is the same in every policy. How it is asked and
/// on what ground (mechanism, lawful basis) is the same in all versions of one policy; policies of
/// different jurisdictions may differ in that, since their laws do, and a yes never carries over
/// between policies.
fn meaning(at: &str, purpose: &Purpose, draft: &Policy, published: &[&Policy], found: &mut Found) {
    let mut changed: Vec<&str> = Vec::new();
    for earlier in published.iter().filter(|earlier| earlier.number != draft.number) {
        let Some(known) = earlier.spec.purposes.iter().find(|known| known.id == purpose.id) else {
            continue;
        };
        let same_policy = earlier.id == draft.id;
        let differences = [
            ("kind", known.kind != purpose.kind),
            ("requires", !same_set(&known.requires, &purpose.requires)),
            ("data_categories", !same_set(&known.data_categories, &purpose.data_categories)),
            ("recipients", !same_set(&known.recipients, &purpose.recipients)),
            ("receiving_app", known.receiving_app != purpose.receiving_app),
            ("mechanism", same_policy && known.mechanism != purpose.mechanism),
            ("lawful_basis", same_policy && known.lawful_basis != purpose.lawful_basis),
        ];
        for (field, differs) in differences {
            if !differs || changed.contains(&field) {
                continue;
            }
            changed.push(field);
            let why = format!(
                "{} was published with another in {} version {}: a changed purpose needs a new id",
                purpose.id, earlier.id, earlier.version
            );
            found.add(format!("{at}.{field}"), why);
        }
    }
}

fn same_set(a: &[String], b: &[String]) -> bool {
    let set = |values: &[String]| values.iter().cloned().collect::<HashSet<_>>();
    set(a) == set(b)
}
