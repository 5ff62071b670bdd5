//! How many identifiers one core reads: millions a second, by kind of input.
//!
//! The time is this thread's own processor time, and each figure is the best of several rounds, so
//! that other work on the machine disturbs it little. The first line, one bare SHA-256, is what to
//! compare figures of two runs by.
//!
//! `cargo run --release -p identifiers --example measure [seed]`

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{hint::black_box, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use identifiers::{Digest, Kind, MatchKeySecret, Profile, Region, digest};
use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat, PhoneNumberType};
use rustix::time::{ClockId, clock_gettime};
use sha2::{Digest as _, Sha256};

/// More than a branch predictor remembers; few enough for the second-level cache.
const INPUTS: usize = 10_000;
const ROUNDS: usize = 15;

const REGIONS: [&str; 20] = [
    "US", "DE", "GB", "FR", "IT", "ES", "BR", "MX", "AR", "IN", "ID", "JP", "AU", "ZA", "NG", "EG",
    "TR", "PL", "NL", "CA",
];

/// A raw number and where it is dialled.
type Dialled = (String, Option<Region>);

fn main() {
    let seed = std::env::args().nth(1).map_or(1, |seed| seed.parse().unwrap());
    let mut rng = ChaCha8Rng::seed_from_u64(seed);

    let texts: Vec<String> = (0..INPUTS).map(|n| format!("+4915112{n:06}")).collect();
    rate("one SHA-256, for reference", &texts, |text| Sha256::digest(text));

    let digests: Vec<Digest> =
        (0..INPUTS).map(|_| Digest::from_bytes(rng.random()).unwrap()).collect();
    let secret = MatchKeySecret::new(1, &[7; 32]).unwrap();
    rate("match key", &digests, |digest| secret.match_key(Kind::Phone, digest));
    let bytes: Vec<[u8; 32]> = digests.iter().map(|digest| *digest.as_bytes()).collect();
    rate("digest in binary", &bytes, |bytes| Digest::from_bytes(*bytes));
    let texts: Vec<String> = bytes.iter().map(hex::encode).collect();
    rate("digest in hex", &texts, |text| Digest::parse(text));
    let texts: Vec<String> = bytes.iter().map(hex::encode_upper).collect();
    rate("digest in upper-case hex", &texts, |text| Digest::parse(text));
    let texts: Vec<String> = bytes.iter().map(|bytes| BASE64_STANDARD.encode(bytes)).collect();
    rate("digest in base64", &texts, |text| Digest::parse(text));

    let addresses = |domain: &str, rng: &mut ChaCha8Rng| -> Vec<String> {
        let name = |rng: &mut ChaCha8Rng| -> String {
            (0..rng.random_range(3..9)).map(|_| rng.random_range('a'..='z')).collect()
        };
        (0..INPUTS).map(|_| format!("{}.{}@{domain}", name(rng), name(rng))).collect()
    };
    let read = |kind| move |text: &String| digest(kind, Profile::Google, text, None);
    rate("email", &addresses("example.com", &mut rng), read(Kind::Email));
    rate("email, mixed case", &addresses("Example.COM", &mut rng), read(Kind::Email));
    rate("email, folded by its profile", &addresses("gmail.com", &mut rng), read(Kind::Email));
    let ids: Vec<String> = (0..INPUTS).map(|_| format!("C-{:08}", rng.random::<u32>())).collect();
    rate("external id", &ids, read(Kind::ExternalId));

    phones(&mut rng);
}

fn phones(rng: &mut ChaCha8Rng) {
    let read = |(text, region): &Dialled| digest(Kind::Phone, Profile::Google, text, *region);
    let mut international = Vec::new();
    let mut formatted = Vec::new();
    let mut national = Vec::new();
    let mut digits_only = Vec::new();
    for code in REGIONS {
        let numbers = numbers_of(code, INPUTS / REGIONS.len(), rng);
        let (plus, home): (Vec<_>, Vec<_>) = numbers.into_iter().unzip();
        rate(&format!("phone, {code}, as {}", home[0].0), &home, read);
        rate(&format!("phone, {code}, as {}", plus[0].0), &plus, read);
        formatted.extend(plus.iter().map(|(text, _)| {
            let number = PHONE_NUMBER_UTIL.parse(text, None).unwrap();
            (number.format_as(PhoneNumberFormat::International).into_owned(), None)
        }));
        digits_only.extend(home.iter().map(|(text, region)| {
            (text.chars().filter(char::is_ascii_digit).collect::<String>(), *region)
        }));
        international.extend(plus);
        national.extend(home);
    }
    for numbers in [&mut international, &mut formatted, &mut national, &mut digits_only] {
        numbers.shuffle(rng);
    }
    rate("phones of 20 regions, E.164", &international, read);
    rate("phones of 20 regions, +49 30 123456", &formatted, read);
    rate("phones of 20 regions, (030) 123456", &national, read);
    rate("phones of 20 regions, 030123456", &digits_only, read);

    let random_digits = |length: usize, rng: &mut ChaCha8Rng| -> String {
        (0..length).map(|_| rng.random_range('0'..='9')).collect()
    };
    let mut invalid = Vec::new();
    while invalid.len() < INPUTS {
        let code: Region = REGIONS[rng.random_range(0..REGIONS.len())].parse().unwrap();
        let text = random_digits(rng.random_range(4..13), rng);
        if digest(Kind::Phone, Profile::Google, &text, Some(code)).is_err() {
            invalid.push((text, Some(code)));
        }
    }
    rate("phones of 20 regions, not valid", &invalid, read);
}

/// `count` valid numbers of a region, half of them mobile: with their country code, and as they are
/// dialled at home.
fn numbers_of(code: &str, count: usize, rng: &mut ChaCha8Rng) -> Vec<(Dialled, Dialled)> {
    let region: Region = code.parse().unwrap();
    let plan = rlibphonenumber::Region::from_code(code).unwrap();
    let mut numbers = Vec::new();
    while numbers.len() < count {
        let of_type = [PhoneNumberType::Mobile, PhoneNumberType::FixedLine][numbers.len() % 2];
        let mut number =
            PHONE_NUMBER_UTIL.get_example_number_for_type_and_region(plan, of_type).unwrap();
        let varied = 10_u64.pow(number.national_number.ilog10() - 1);
        number.national_number += rng.random_range(0..varied) - number.national_number % varied;
        if number.is_valid_for_region(plan) {
            let plus = number.format_as(PhoneNumberFormat::E164).into_owned();
            let home = number.format_as(PhoneNumberFormat::National).into_owned();
            numbers.push(((plus, None), (home, Some(region))));
        }
    }
    numbers
}

fn rate<T, R>(name: &str, inputs: &[T], read: impl Fn(&T) -> R) {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = processor_time();
        for _ in 0..INPUTS.div_ceil(inputs.len()) {
            for input in inputs {
                black_box(read(black_box(input)));
            }
        }
        best = best.min(processor_time().saturating_sub(start));
    }
    let inputs = inputs.len() * INPUTS.div_ceil(inputs.len());
    let each = best.as_secs_f64() / f64::from(u32::try_from(inputs).unwrap());
    println!("{:8.3} million/s {:8.0} ns  {name}", 1e-6 / each, each * 1e9);
}

fn processor_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}
