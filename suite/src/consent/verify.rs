//! `assent consent verify`: whether receipts are genuine. Asks nobody.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use consent_svc::receipt::{
    Chain, Failure, Instant, PublicKey, Receipt, Record, SigningKey, read_keys, verify_chains,
};
use serde_json::json;

use super::statement::Statement;
use crate::{
    data::Data,
    exit::Error,
    output::{plain, say},
};

/// The largest file that is read: far more than any receipt has.
const LARGEST: u64 = 1 << 20;

const EXAMPLES: &str = "\
Examples:
  assent consent verify receipt.json --keys keys.json
  assent consent verify receipt-*.json --keys keys.json

Several of one person: also whether they follow one another.";

/// Checks receipts of consent, without asking anybody: signature, digests, and whether those of one
/// person follow one another.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Receipts: what `assent consent receipt` wrote, or grpcurl printed for `GetReceipt`.
    #[arg(required = true, value_name = "FILE")]
    receipts: Vec<PathBuf>,
    /// The keys: what `assent consent keys` wrote, from whom you trust. Without it, the key of the
    /// suite in --data.
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// The directory of the suite that gave the receipts, where --keys is not given.
    #[arg(long, value_name = "DIR", default_value = "assent-data")]
    data: PathBuf,
    /// Print what was found as JSON.
    #[arg(long)]
    json: bool,
}

/// What was found about one file.
struct Checked<'a> {
    file: &'a Path,
    record: Option<Record>,
    failures: Vec<Failure>,
}

/// Checks all of it, then fails if anything did.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    let keys = keys(arguments)?;
    let checked: Vec<Checked<'_>> =
        arguments.receipts.iter().map(|file| check(file, &keys)).collect();
    let chains = verify_chains(checked.iter().filter_map(|checked| checked.record.as_ref()));
    if arguments.json {
        say!("{}", as_json(&checked, &chains))?;
    } else {
        print(&checked, &chains)?;
    }
    let bad = checked.iter().filter(|checked| !checked.failures.is_empty()).count();
    let broken = chains.iter().filter(|chain| !chain.failures.is_empty()).count();
    match (bad, broken) {
        (0, 0) => Ok(()),
        (0, _) => Err(Error::input("the receipts do not follow one another")),
        (bad, _) => Err(Error::input(format!("{bad} of {} receipts do not verify", checked.len()))),
    }
}

fn keys(arguments: &Arguments) -> Result<Vec<PublicKey>, Error> {
    if let Some(file) = &arguments.keys {
        return read_keys(&read(file)?)
            .map_err(|error| Error::input(format!("{}: {error}", file.display())));
    }
    let Some(secret) = Data::existing_secret(&arguments.data, Data::RECEIPT_KEY)? else {
        return Err(Error::input("a signature can be checked with its key only")
            .with_next("give --keys FILE, with what `assent consent keys` writes"));
    };
    let key =
        SigningKey::parse(secret.expose()).map_err(|error| Error::failed(error.to_string()))?;
    Ok(key.public(Instant::default().0).into_iter().collect())
}

fn check<'a>(file: &'a Path, keys: &[PublicKey]) -> Checked<'a> {
    let receipt = read(file).map_err(|error| error.to_string());
    let receipt = receipt.and_then(|text| Receipt::read(&text).map_err(|error| error.to_string()));
    match receipt {
        Ok(receipt) => {
            let verified = receipt.verify(keys);
            Checked { file, record: verified.record, failures: verified.failures }
        }
        Err(error) => {
            let failure = Failure::new("file", error);
            Checked { file, record: None, failures: vec![failure] }
        }
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Error> {
    let mut text = Vec::new();
    let read = File::open(file).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut text));
    read.map_err(|error| Error::unreadable(file, &error))?;
    if text.len() as u64 > LARGEST {
        let what = format!("{} is larger than any receipt", file.display());
        return Err(Error::input(format!("{what}: more than {LARGEST} bytes")));
    }
    Ok(text)
}

fn print(checked: &[Checked<'_>], chains: &[Chain]) -> Result<(), Error> {
    for Checked { file, record, failures } in checked {
        match record {
            Some(record) if failures.is_empty() => {
                say!("{}: genuine\n{}", name(file), Statement(record))?;
            }
            _ => {
                say!("{}: NOT TO BE TRUSTED", name(file))?;
                for Failure { check, why } in failures {
                    say!("  {check}: {}", plain(why))?;
                }
                say!("")?;
            }
        }
    }
    for Chain { subject_id, first, last, failures } in chains {
        if failures.is_empty() && first != last {
            say!("The receipts of {subject_id}, events {first} to {last}, follow one another.")?;
        }
        for Failure { check, why } in failures {
            say!("{check}: {why}")?;
        }
    }
    Ok(())
}

fn name(file: &Path) -> String {
    plain(&file.display().to_string())
}

fn as_json(checked: &[Checked<'_>], chains: &[Chain]) -> serde_json::Value {
    let receipt = |Checked { file, record, failures }: &Checked<'_>| {
        json!({
            "file": file.display().to_string(),
            "genuine": failures.is_empty(),
            "failures": failures,
            "record": record,
        })
    };
    let chain = |Chain { subject_id, first, last, failures }: &Chain| {
        json!({
            "subject_id": subject_id,
            "first": first,
            "last": last,
            "unbroken": failures.is_empty(),
            "failures": failures,
        })
    };
    json!({
        "receipts": checked.iter().map(receipt).collect::<Vec<_>>(),
        "chains": chains.iter().map(chain).collect::<Vec<_>>(),
    })
}
