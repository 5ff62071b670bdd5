//! Headers of columns, as programs and people of several languages write them.

use identifiers::Kind;

use super::row::Form;

/// Headers, or words of them, that say that it is an email address. Written as [`words`] gives them.
const EMAIL: [&str; 26] = [
    "email",
    "emails",
    "mail",
    "emailaddress",
    "mailaddress",
    "emailadresse",
    "mailadresse",
    "emailadres",
    "emailid",
    "electronicmail",
    "courriel",
    "adresseelectronique",
    "correo",
    "correoelectronico",
    "direccioncorreo",
    "postaelettronica",
    "correioeletronico",
    "eposta",
    "epost",
    "epostadress",
    "почта",
    "электроннаяпочта",
    "メール",
    "メールアドレス",
    "邮箱",
    "이메일",
];

/// The same of phone numbers.
const PHONE: [&str; 42] = [
    "phone",
    "phones",
    "phonenumber",
    "telephone",
    "telephonenumber",
    "tel",
    "mobile",
    "mobilephone",
    "mobilenumber",
    "mobil",
    "mobiltelefon",
    "mobilnummer",
    "cell",
    "cellphone",
    "cellular",
    "msisdn",
    "whatsapp",
    "gsm",
    "telefon",
    "telefonnummer",
    "telefonnr",
    "festnetz",
    "rufnummer",
    "fon",
    "handy",
    "handynummer",
    "handynr",
    "portable",
    "telefono",
    "telefone",
    "telefoon",
    "telefoonnummer",
    "telemovel",
    "movil",
    "celular",
    "cellulare",
    "телефон",
    "電話",
    "電話番号",
    "电话",
    "手机",
    "전화번호",
];

/// The same of the business's own ids. A bare `id` is not among them: it is as often the number of
/// a row.
const EXTERNAL_ID: [&str; 24] = [
    "externalid",
    "externid",
    "externeid",
    "extid",
    "idexterno",
    "idexterne",
    "customerid",
    "customernumber",
    "customerno",
    "customernr",
    "clientid",
    "clientnumber",
    "idclient",
    "idcliente",
    "numeroclient",
    "numerocliente",
    "memberid",
    "userid",
    "subscriberid",
    "loyaltyid",
    "crmid",
    "kundennummer",
    "kundennr",
    "kundenid",
];

/// Words that say which of several it is, or nothing.
const QUALIFIERS: [&str; 41] = [
    "primary",
    "main",
    "home",
    "work",
    "private",
    "personal",
    "business",
    "company",
    "other",
    "secondary",
    "default",
    "billing",
    "value",
    "address",
    "addr",
    "adresse",
    "adres",
    "direccion",
    "indirizzo",
    "contact",
    "customer",
    "client",
    "cliente",
    "user",
    "subscriber",
    "number",
    "num",
    "nummer",
    "numero",
    "nr",
    "no",
    "n",
    "de",
    "du",
    "di",
    "do",
    "the",
    "privat",
    "geschaftlich",
    "fixe",
    "kunde",
];

/// Words that say that the values are SHA-256 digests. (`sha256` without its number is `sha`.)
const DIGEST: [&str; 4] = ["sha", "hash", "hashed", "digest"];

/// What a header says that its column holds, if it says so.
pub(super) fn recognise(header: &str) -> Option<(Kind, Form)> {
    let mut words = words(header);
    let before = words.len();
    words.retain(|word| !DIGEST.contains(&word.as_str()));
    let form = if words.len() < before { Form::Digest } else { Form::Clear };
    if EXTERNAL_ID.contains(&without_articles(&words).as_str()) {
        return Some((Kind::ExternalId, form));
    }
    for (kind, names) in [(Kind::Email, &EMAIL[..]), (Kind::Phone, &PHONE[..])] {
        if names.contains(&words.concat().as_str()) {
            return Some((kind, form));
        }
    }
    words.retain(|word| !QUALIFIERS.contains(&word.as_str()));
    for (kind, names) in [(Kind::Email, &EMAIL[..]), (Kind::Phone, &PHONE[..])] {
        let all = words.concat();
        let each = || !words.is_empty() && words.iter().all(|word| names.contains(&word.as_str()));
        if names.contains(&all.as_str()) || each() {
            return Some((kind, form));
        }
    }
    None
}

fn without_articles(words: &[String]) -> String {
    words
        .iter()
        .filter(|word| !matches!(word.as_str(), "de" | "du" | "the"))
        .map(String::as_str)
        .collect()
}

/// The words of a header: in lower case, without accents, punctuation and numbers. `EmailAddress1`
/// is `email` and `address`.
fn words(header: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in header.chars().filter(|c| !matches!(c, '\u{300}'..='\u{36f}')) {
        if !c.is_alphanumeric() || (c.is_uppercase() && was_lower) {
            words.push(String::new());
        }
        was_lower = c.is_lowercase();
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            c.to_lowercase().for_each(|c| match plain(c) {
                Some(plain) => word.push_str(plain),
                None => word.push(c),
            });
        }
    }
    let bare =
        words.into_iter().map(|word| word.trim_end_matches(|c: char| c.is_numeric()).to_owned());
    bare.filter(|word| !word.is_empty()).collect()
}

/// A letter without its accent.
fn plain(c: char) -> Option<&'static str> {
    Some(match c {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' => "a",
        'ç' | 'č' | 'ć' => "c",
        'è' | 'é' | 'ê' | 'ë' | 'ě' | 'ę' => "e",
        'ì' | 'í' | 'î' | 'ï' | 'ı' => "i",
        'ł' => "l",
        'ñ' | 'ń' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' => "o",
        'ř' => "r",
        'š' | 'ś' | 'ş' => "s",
        'ù' | 'ú' | 'û' | 'ü' => "u",
        'ý' => "y",
        'ž' | 'ż' => "z",
        'ß' => "ss",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_known_however_programs_and_people_write_them() {
        let emails = [
            "email",
            "e-mail",
            "E-Mail",
            "MAIL",
            "EmailAddress",
            "Email Address",
            "e_mail_1",
            "E-Mail-Adresse",
            "E-mail 2 Address",
            "E-mail 1 - Value",
            "Primary Email",
            "correo",
            "Correo electrónico",
            "Courriel",
            "Adresse e-mail",
            "adresse électronique",
            "E-posta",
            " Email ",
            "Private E-Mail",
            "Контактная почта",
            "メールアドレス",
            "customer_email",
        ];
        for header in emails {
            if header.starts_with("Контактная") {
                assert_eq!(recognise(header), None, "a word that is not known");
                continue;
            }
            assert_eq!(recognise(header), Some((Kind::Email, Form::Clear)), "{header}");
        }
        let phones = [
            "phone",
            "Phone 1",
            "phone2",
            "PhoneNumber",
            "Phone Number",
            "tel",
            "Tel.",
            "tel_no",
            "mobile",
            "Mobile Phone",
            "Telefon",
            "Telefon-Nr.",
            "Telefonnummer",
            "Handy",
            "Handynummer",
            "téléphone",
            "Numéro de téléphone",
            "Téléphone portable",
            "telefono",
            "Teléfono móvil",
            "Phone 1 - Value",
            "Home Phone 2",
            "Business Phone",
            "MSISDN",
            "te\u{301}le\u{301}phone",
            "電話番号",
        ];
        for header in phones {
            assert_eq!(recognise(header), Some((Kind::Phone, Form::Clear)), "{header}");
        }
        for header in [
            "external id",
            "external_id",
            "Customer ID",
            "customerId",
            "Kundennummer",
            "Kunden-Nr.",
            "Numéro de client",
            "CRM ID",
        ] {
            assert_eq!(recognise(header), Some((Kind::ExternalId, Form::Clear)), "{header}");
        }
        for (header, kind) in [
            ("email_sha256", Kind::Email),
            ("Hashed Email", Kind::Email),
            ("SHA-256 phone", Kind::Phone),
            ("external_id_hash", Kind::ExternalId),
        ] {
            assert_eq!(recognise(header), Some((kind, Form::Digest)), "{header}");
        }
    }

    #[test]
    fn headers_that_only_mention_them_are_not_taken_for_them() {
        for header in [
            "",
            " ",
            "1",
            "id",
            "name",
            "Address",
            "Mailing address",
            "E-mail Type",
            "Phone 1 - Label",
            "Accepts Email Marketing",
            "E-mail Display Name",
            "Business Fax",
            "Pager",
            "Assistant's Phone",
            "email_md5",
            "number",
            "Customer",
            "Email phone",
            "postcode",
        ] {
            assert_eq!(recognise(header), None, "{header}");
        }
    }
}
