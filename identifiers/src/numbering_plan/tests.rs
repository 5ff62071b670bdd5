#![allow(clippy::unwrap_used)]

use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberType, Region};

use super::{Plan, e164};
use crate::phone::library_e164;

const TYPES: [PhoneNumberType; 10] = [
    PhoneNumberType::FixedLine,
    PhoneNumberType::Mobile,
    PhoneNumberType::TollFree,
    PhoneNumberType::PremiumRate,
    PhoneNumberType::SharedCost,
    PhoneNumberType::VoIP,
    PhoneNumberType::PersonalNumber,
    PhoneNumberType::Pager,
    PhoneNumberType::UAN,
    PhoneNumberType::VoiceMail,
];

/// How many numbers were read, how many of them are valid, and how many were answered here.
#[derive(Debug, Default)]
struct Answers {
    asked: u32,
    valid: u32,
    answered: u32,
}

impl Answers {
    fn compare(&mut self, dialled: &str, region: Option<Region>) {
        let theirs = library_e164(dialled, region);
        self.asked += 1;
        self.valid += u32::from(theirs.is_ok());
        if let Some(ours) = e164(dialled, region) {
            self.answered += 1;
            assert_eq!(ours, theirs, "{dialled} in {region:?}");
        }
    }
}

fn regions() -> Vec<Region> {
    let mut regions: Vec<_> = PHONE_NUMBER_UTIL.get_supported_regions().collect();
    regions.sort_unstable_by_key(ToString::to_string);
    regions
}

fn random_digits(count: usize, rng: &mut ChaCha8Rng) -> String {
    (0..count).map(|_| rng.random_range('0'..='9')).collect()
}

/// National numbers with their calling code, one of each type that a plan has.
fn examples() -> Vec<(i32, String)> {
    let of_regions = regions().into_iter().flat_map(|region| {
        TYPES.map(|of| PHONE_NUMBER_UTIL.get_example_number_for_type_and_region(region, of).ok())
    });
    let of_networks = PHONE_NUMBER_UTIL
        .get_supported_global_network_calling_codes()
        .map(|code| PHONE_NUMBER_UTIL.get_example_number_for_non_geo_entity(code).ok());
    let mut examples: Vec<_> = of_regions
        .chain(of_networks)
        .flatten()
        .map(|number| (number.country_code, number.get_national_significant_number()))
        .collect();
    examples.sort_unstable();
    examples
}

#[test]
fn every_calling_code_has_a_plan() {
    for code in PHONE_NUMBER_UTIL.get_supported_calling_codes() {
        assert!(Plan::of(usize::try_from(code).unwrap()).is_some(), "{code}");
    }
}

#[test]
fn what_it_answers_is_what_the_library_answers() {
    let numbers = std::env::var("NUMBERS").map_or(100_000, |numbers| numbers.parse().unwrap());
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (examples, regions) = (examples(), regions());
    let mut answers = Answers::default();
    for _ in 0..numbers {
        let (code, mut national) = examples.choose(&mut rng).unwrap().clone();
        // Nearly a number: the plan's digits in front, any digits behind, about its length.
        let kept = rng.random_range(0..=national.len());
        let length = national.len();
        national.truncate(kept);
        national += &random_digits(length - kept, &mut rng);
        match rng.random_range(0..10) {
            0 => national += &random_digits(rng.random_range(1..6), &mut rng),
            1 => national.truncate(length - rng.random_range(1..=length.min(4))),
            2 => national = random_digits(rng.random_range(1..20), &mut rng),
            _ => {}
        }
        // Where it is dialled: mostly where its calling code is.
        let mut homes = PHONE_NUMBER_UTIL.get_regions_for_country_calling_code(code).unwrap();
        let home = homes.nth(rng.random_range(0..homes.len())).unwrap();
        let region = if home == Region::World || rng.random_ratio(1, 10) {
            *regions.choose(&mut rng).unwrap()
        } else {
            home
        };
        let trunk = ["0", "1", "8", "06", "01"].choose(&mut rng).unwrap();
        let zeros = "0".repeat(rng.random_range(1..4));
        let dialled = match rng.random_range(0..12) {
            0..3 => format!("+{code}{national}"),
            3 => format!("+{code}{trunk}{national}"),
            4 => format!("+{zeros}{code}{national}"),
            5..7 => national,
            7..9 => format!("{trunk}{national}"),
            9 => format!("{code}{national}"),
            10 => format!("{zeros}{code}{national}"),
            _ => format!("011{code}{national}"),
        };
        let region = if dialled.starts_with('+') { None } else { Some(region) };
        answers.compare(&dialled[..dialled.len().min(25)], region);
    }
    assert!(answers.valid > numbers / 5, "{answers:?}");
    assert!(answers.answered > numbers / 10 * 8, "{answers:?}");
    println!("{answers:?}");
}

/// Every beginning of four digits, in every length up to one more than the library reads, under
/// every calling code and in every region; what follows the beginning is random. 83 million
/// numbers.
#[test]
#[ignore = "minutes in a release build; run when the library or this module changes"]
fn what_it_answers_is_what_the_library_answers_for_every_beginning() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut answers = Answers::default();
    let codes = PHONE_NUMBER_UTIL.get_supported_calling_codes();
    let abroad = codes.map(|code| (format!("+{code}"), None));
    let home = regions().into_iter().map(|region| (String::new(), Some(region)));
    for (prefix, region) in abroad.chain(home) {
        for beginning in 0..10_000 {
            let digits = format!("{beginning:04}{}", random_digits(14, &mut rng));
            for length in 1..=digits.len() {
                answers.compare(&format!("{prefix}{}", &digits[..length]), region);
            }
        }
    }
    println!("{answers:?}");
}
