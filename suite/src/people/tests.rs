//! The readers, against whatever programs write and against anything at all.
#![allow(clippy::unwrap_used)]

use std::io::{self, BufReader, Cursor, Read};

use identifiers::{Kind, Rejection};
use proptest::prelude::*;

use super::{
    Fault, ReadError, Row, Rows,
    cards::Cards,
    header::Layout,
    row::{ColumnChoice, Form, Options},
    splitter::Splitter,
    table::Table,
};

/// What of a row matters.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    number: u64,
    values: Vec<(Kind, Form, String)>,
    faults: Vec<Fault>,
    is_blank: bool,
}

fn options() -> Options {
    Options { columns: Vec::new(), no_header: false, kinds: &Kind::ALL, region: "DE".parse().ok() }
}

fn seen(row: &Row) -> Seen {
    Seen {
        number: row.number,
        values: row.values().map(|one| (one.kind, one.form, one.text.to_owned())).collect(),
        faults: row.faults.iter().map(|(_, fault)| *fault).collect(),
        is_blank: row.is_blank,
    }
}

fn all(mut next: impl FnMut(&mut Row) -> Result<bool, ReadError>) -> Result<Vec<Seen>, String> {
    let (mut row, mut rows) = (Row::default(), Vec::new());
    while next(&mut row).map_err(|error| error.to_string())? {
        rows.push(seen(&row));
    }
    Ok(rows)
}

fn read_with(bytes: impl Read + Send + 'static, options: &Options) -> Result<Vec<Seen>, String> {
    let mut rows = Rows::open(bytes, options).map_err(|error| error.to_string())?;
    all(|row| {
        row.clear();
        rows.next(row)
    })
}

fn read(bytes: impl AsRef<[u8]>) -> Result<Vec<Seen>, String> {
    read_with(Cursor::new(bytes.as_ref().to_vec()), &options())
}

/// The values of each row, without their kinds.
fn texts(bytes: impl AsRef<[u8]>) -> Vec<Vec<String>> {
    let rows = read(bytes).unwrap();
    let texts = |row: Seen| row.values.into_iter().map(|(_, _, text)| text).collect();
    rows.into_iter().map(texts).collect()
}

/// Gives out bytes in pieces of these sizes, over and over.
struct Pieces {
    bytes: Cursor<Vec<u8>>,
    sizes: Vec<usize>,
    next: usize,
}

impl Read for Pieces {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let size = self.sizes[self.next % self.sizes.len()].clamp(1, to.len().max(1));
        self.next += 1;
        let room = size.min(to.len());
        self.bytes.read(&mut to[..room])
    }
}

const PLAIN: &str = "name,email,phone\nAnn,ann@example.com,+493012345678\nBob,,+493087654321\n\
                     \"Eve, \"\"the\nlate\"\"\",eve@example.com,\n";

fn utf_16(text: &str, to_bytes: impl Fn(u16) -> [u8; 2]) -> Vec<u8> {
    std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(to_bytes).collect()
}

#[test]
fn a_list_is_the_same_whatever_program_wrote_it() {
    let expected = texts(PLAIN);
    assert_eq!(
        expected,
        [&["ann@example.com", "+493012345678"][..], &["+493087654321"], &["eve@example.com"],]
    );
    let crlf = PLAIN.replace('\n', "\r\n");
    let no_header = PLAIN.split_once('\n').unwrap().1;
    let forms: [(&str, Vec<u8>); 12] = [
        ("CRLF", crlf.clone().into()),
        ("CR", PLAIN.replace('\n', "\r").into()),
        ("a byte order mark", format!("\u{feff}{PLAIN}").into()),
        ("semicolons", PLAIN.replace(',', ";").into()),
        ("tabs", PLAIN.replace(',', "\t").into()),
        ("bars", PLAIN.replace(',', "|").into()),
        ("sep=", format!("sep=;\r\n{}", crlf.replace(',', ";")).into()),
        ("UTF-16LE", utf_16(&crlf, u16::to_le_bytes)),
        ("UTF-16BE", utf_16(&crlf, u16::to_be_bytes)),
        ("no header", no_header.into()),
        ("no newline at the end", PLAIN.trim_end().into()),
        (
            "all quoted",
            "\"name\",\"email\",\"phone\"\n\"Ann\",\"ann@example.com\",\"+493012345678\"\n\
          \"Bob\",\"\",\"+493087654321\"\n\"Eve\",\"eve@example.com\",\"\"\n"
                .into(),
        ),
    ];
    for (form, bytes) in forms {
        assert_eq!(texts(bytes), expected, "{form}");
    }
}

#[test]
fn half_a_character_at_the_end_is_read_alike_in_all_pieces() {
    for length in 1..80 {
        let mut bytes = utf_16(&format!("email\na@{}", "b".repeat(length)), u16::to_le_bytes);
        bytes.push(b'x');
        let whole = read(&bytes).unwrap();
        assert!(whole[0].values[0].2.ends_with("b\u{fffd}"), "{whole:?}");
        for size in 1..5 {
            let pieces = Pieces { bytes: Cursor::new(bytes.clone()), sizes: vec![size], next: 0 };
            assert_eq!(read_with(pieces, &options()).unwrap(), whole, "{length}, {size}");
        }
    }
}

#[test]
fn headers_may_be_mapped_and_numbered() {
    let list = "a;b;c\n1;ann@example.com;x\n";
    let choose = |columns: &[(Kind, &str)]| {
        let choice = |(kind, column): &(Kind, &str)| ColumnChoice {
            kind: *kind,
            column: (*column).to_owned(),
        };
        Options { columns: columns.iter().map(choice).collect(), ..options() }
    };
    let read =
        |list: &str, options: &Options| read_with(Cursor::new(list.as_bytes().to_vec()), options);
    for columns in [[(Kind::Email, "B")], [(Kind::Email, "2")]] {
        let rows = read(list, &choose(&columns)).unwrap();
        assert_eq!(rows[0].values[0].2, "ann@example.com");
    }
    let unknown = read(list, &choose(&[(Kind::Email, "d")])).unwrap_err();
    assert_eq!(unknown, "it has no column \"d\"");
    let beyond = read(list, &choose(&[(Kind::Email, "4")])).unwrap_err();
    assert_eq!(beyond, "it has no column \"4\"");
    let headless = Options { no_header: true, ..choose(&[(Kind::ExternalId, "1")]) };
    let rows = read("1;x\n2;y\n", &headless).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].values, [(Kind::ExternalId, Form::Clear, "1".to_owned())]);
}

#[test]
fn what_is_no_list_is_told_apart() {
    let error = |bytes: &[u8]| read(bytes).unwrap_err();
    assert_eq!(error(b""), "it is empty");
    assert_eq!(error(b" \r\n\n"), "it is empty");
    assert_eq!(error(b"PK\x03\x04..."), "it is a spreadsheet program's own file");
    assert_eq!(error(b"\x1f\x8b\x08"), "it is compressed");
    assert_eq!(
        error(b"e\0m\0a\0i\0l\0\n\0"),
        "there are zero bytes in it, as in UTF-16 without a byte order mark"
    );
    assert_eq!(
        error(b"name,city\nAnn,Berlin\n"),
        "none of its columns is known to hold email, phone, external id"
    );
    // A date or a postcode is no phone number.
    assert!(error(b"born,code\n1990-01-02,10115\n").starts_with("none of its columns"));
    assert!(error(b"1990-01-02,10115\n").starts_with("none of its columns"));
}

#[test]
fn rows_have_the_numbers_under_which_a_spreadsheet_shows_them() {
    for end in ["\n", "\r\n", "\r"] {
        let list =
            ["email", "a@example.com", "", "", "\"b@example.com", "\"", "x,y", ",,,", " ", ""];
        let rows = read(list.join(end)).unwrap();
        let numbers: Vec<_> = rows.iter().map(|row| row.number).collect();
        // The header is row 1, rows 3 and 4 are blank, and row 5 has a line break in a cell.
        assert_eq!(numbers, [2, 5, 6, 7, 8], "{end:?}");
        assert_eq!(rows[1].values[0].2, "b@example.com");
        assert_eq!(rows[2].faults, [Fault::TooManyFields]);
        assert!(rows[3].is_blank && rows[3].faults.is_empty());
        assert!(rows[4].is_blank);
    }
}

#[test]
fn a_row_without_anybody_is_refused_and_nothing_is_dropped() {
    let rows = read("name,email,phone\nAnn,,\n,,\nBob, bob@example.com ,1 ::: 2\n").unwrap();
    assert_eq!(rows[0].faults, [Fault::NothingToFindBy]);
    assert!(rows[1].is_blank && rows[1].faults.is_empty());
    let values: Vec<_> = rows[2].values.iter().map(|(_, _, text)| text.as_str()).collect();
    assert_eq!(values, ["bob@example.com", "1", "2"]);
}

#[test]
fn digests_are_known_by_their_header_or_their_look() {
    let digest = "AB".repeat(32);
    let list = format!("email,phone_sha256,external id\n{digest},x,{digest}\na@b.example,,1\n");
    let rows = read(list).unwrap();
    let forms: Vec<_> = rows[0].values.iter().map(|(kind, form, _)| (*kind, *form)).collect();
    assert_eq!(
        forms,
        [
            (Kind::Email, Form::Digest),
            (Kind::Phone, Form::Digest),
            // It may be just that.
            (Kind::ExternalId, Form::Clear),
        ]
    );
}

#[test]
fn what_is_no_utf_8_is_read_as_windows_1252_and_said() {
    let list = b"T\xe9l\xe9phone;name\n+493012345678;M\xfcller\n+493012345679;x\n\
                 j\xfcrgen;x\n"
        .to_vec();
    let mut rows = Rows::open(Cursor::new(list), &options()).unwrap();
    let seen = all(|row| rows.next(row)).unwrap();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[2].values[0].2, "jürgen");
    assert_eq!(
        rows.notes(),
        [
            "read by Téléphone (phone)",
            "1 rows were not in UTF-8 and were read as Windows-1252, row 4 first",
        ]
    );
}

#[test]
fn a_quote_that_is_never_closed_is_told_with_its_row() {
    let whole = "email\r\nann@example.com\r\n\"bob@example.com\"";
    assert_eq!(texts(whole), [["ann@example.com"], ["bob@example.com"]]);
    for cut in ["", "\r\n", "\r\ncy@example.com\r\n", "\"\" "] {
        let list = format!("{}{cut}", whole.strip_suffix('"').unwrap());
        let told = read(list).unwrap_err();
        assert_eq!(told, "a quote is opened in row 3 and never closed", "{cut:?}");
    }
    // One that is closed after what is looked at to find out what the columns are.
    let long = format!("email\nann@example.com\n\"{}\"\n", "x\n".repeat(100_000));
    assert_eq!(read(long).unwrap().len(), 2);
}

/// A quote that is never closed, or a file that is something else, must not fill the memory.
#[test]
fn a_row_that_never_ends_is_an_error_with_its_number() {
    let begun = b"email\nann@example.com\n\"x".to_vec();
    let endless = Cursor::new(begun).chain(io::repeat(b'x'));
    assert_eq!(read_with(endless, &options()).unwrap_err(), "row 3 is longer than 1048576 bytes");
    let many = Cursor::new(b"email\nann@example.com\n".to_vec()).chain(io::repeat(b','));
    assert_eq!(read_with(many, &options()).unwrap_err(), "row 3 is longer than 1048576 bytes");
    let header = io::repeat(b'x');
    assert!(read_with(header, &options()).unwrap_err().starts_with("row 1 is longer than"));
    let card = Cursor::new(b"BEGIN:VCARD\nNOTE:".to_vec()).chain(io::repeat(b'x').take(1 << 24));
    assert_eq!(read_with(card, &options()).unwrap_err(), "card 1 is cut off: END:VCARD is missing");
}

const CARD: &str = "BEGIN:VCARD\nVERSION:3.0\nFN:Ann\nTEL:+49 30 12345678\n\
                    EMAIL:ann@example.com\nEMAIL:ann@work.example\nEND:VCARD\n";

#[test]
fn a_card_is_the_same_whatever_program_wrote_it() {
    let expected = texts(CARD);
    assert_eq!(expected, [["+49 30 12345678", "ann@example.com", "ann@work.example"]]);
    let forms: [(&str, Vec<u8>); 9] = [
        ("CRLF", CARD.replace('\n', "\r\n").into()),
        ("CR", CARD.replace('\n', "\r").into()),
        ("a byte order mark", format!("\u{feff}{CARD}").into()),
        ("UTF-16LE", utf_16(CARD, u16::to_le_bytes)),
        ("lower case", CARD.to_lowercase().into()),
        ("folded", CARD.replace("12345678", "123\r\n 456\n\t78").replace("@w", "@\r\n w").into()),
        (
            "groups and parameters",
            CARD.replace("TEL", "item1.TEL;type=\"CELL;x:y\";PREF=1")
                .replace("EMAIL", "item2.EMAIL;TYPE=INTERNET,HOME")
                .into(),
        ),
        (
            "vCard 2.1",
            CARD.replace("3.0", "2.1")
                .replace("TEL:", "TEL;CELL;ENCODING=QUOTED-PRINTABLE:")
                .replace("+49 30 12345678", "=2B49 30 1234=\r\n5678")
                .replace("EMAIL:", "EMAIL;INTERNET:")
                .into(),
        ),
        (
            "vCard 4.0",
            CARD.replace("3.0", "4.0")
                .replace("TEL:", "TEL;VALUE=uri;TYPE=\"cell,home\":tel:")
                .replace(
                    "FN:Ann",
                    "FN:Ann\nNOTE:TEL:+491\nPHOTO;ENCODING=b:AAAA\n TEL:x=\n EMAIL:y",
                )
                .into(),
        ),
    ];
    for (form, bytes) in forms {
        assert_eq!(texts(bytes), expected, "{form}");
    }
}

#[test]
fn cards_that_are_not_right_are_told_by_their_number() {
    let rows = read(
        "BEGIN:VCARD\nFN:nobody\nEND:VCARD\nrubbish\nBEGIN:VCARD\nTEL:1\nBEGIN:VCARD\nTEL:2\n\
         AGENT:\nBEGIN:VCARD\nTEL:3\nEND:VCARD\nEMAIL:a@b.example\nEND:VCARD\n",
    )
    .unwrap();
    let brief: Vec<_> =
        rows.iter().map(|row| (row.number, row.values.len(), row.faults.clone())).collect();
    assert_eq!(
        brief,
        [(1, 0, vec![Fault::NothingToFindBy]), (2, 1, vec![Fault::NoEnd]), (3, 2, vec![]),]
    );
    let long = format!("BEGIN:VCARD\nTEL:{}\nEND:VCARD\n", "1".repeat(1 << 17));
    assert_eq!(read(long).unwrap()[0].faults, [Fault::from(Rejection::TooLong)]);
    let cut = &CARD[..CARD.len() - "END:VCARD\n".len()];
    assert_eq!(read(cut).unwrap_err(), "card 1 is cut off: END:VCARD is missing");
    let full = format!("BEGIN:VCARD\n{}", "TEL:1\n".repeat(2_000));
    assert!(read(full).unwrap_err().starts_with("row 1 is longer than"));
}

/// Text with much in it that means something, and anything else.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "\n",
            "\r\n",
            "\r",
            ",",
            ";",
            "\t",
            "\"",
            "\"\"",
            "email",
            "phone",
            "ann@example.com",
            "+493012345678",
            "BEGIN:VCARD",
            "END:VCARD",
            "\nTEL:",
            "\nEMAIL;X=\"",
            "=\n",
            "\n ",
            "QUOTED-PRINTABLE:",
            ":",
            "=3D",
            "é",
            " ::: ",
            "sep=;\n",
            "tel:",
            "\\n",
            "AGENT:\n",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn table(bytes: &[u8], capacity: usize) -> Result<Vec<Seen>, String> {
    let columns = vec![
        ColumnChoice { kind: Kind::Email, column: "1".to_owned() },
        ColumnChoice { kind: Kind::Phone, column: "2".to_owned() },
    ];
    let options = Options { columns, no_header: true, ..options() };
    let layout = Layout::of(bytes, true, &options).map_err(|error| error.to_string())?;
    let input = BufReader::with_capacity(capacity, Cursor::new(bytes.to_vec()));
    let mut table = Table::open(input, layout).map_err(|error| error.to_string())?;
    all(|row| {
        row.clear();
        table.next(row)
    })
}

fn cards(bytes: &[u8], capacity: usize) -> Result<Vec<Seen>, String> {
    let mut cards =
        Cards::new(BufReader::with_capacity(capacity, Cursor::new(bytes.to_vec())), &options());
    all(|row| {
        row.clear();
        cards.next(row)
    })
}

proptest! {
    #[test]
    fn nothing_makes_the_readers_panic(bytes in text(), sizes in prop::collection::vec(1..9_usize, 1..5)) {
        let whole = read(&bytes);
        let pieces = Pieces { bytes: Cursor::new(bytes), sizes, next: 0 };
        prop_assert_eq!(whole, read_with(pieces, &options()));
    }

    #[test]
    fn where_pieces_end_does_not_matter(bytes in text(), capacity in 1..12_usize) {
        prop_assert_eq!(table(&bytes, 1 << 16), table(&bytes, capacity));
        prop_assert_eq!(cards(&bytes, 1 << 16), cards(&bytes, capacity));
    }

    #[test]
    fn utf_16_is_read_as_its_text_is(text in "(email|x)[,;]phone\n([a-z@.é😀,\"+0-9\n]{0,80})", size in 1..9_usize) {
        let pieces = Pieces { bytes: Cursor::new(utf_16(&text, u16::to_le_bytes)), sizes: vec![size], next: 0 };
        prop_assert_eq!(read(&text), read_with(pieces, &options()));
    }

    /// The rows are those of the `csv` crate; only their numbers are counted here.
    #[test]
    fn rows_are_split_as_by_the_csv_crate(bytes in text(), capacity in 1..12_usize) {
        let mut expected = Vec::new();
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true)
            .from_reader(bytes.as_slice());
        for record in reader.byte_records() {
            let record = record.unwrap();
            expected.push(record.iter().map(<[u8]>::to_vec).collect::<Vec<_>>());
        }
        // Like the crate, csv-core passes over a byte order mark.
        let mut splitter = Splitter::new(BufReader::with_capacity(capacity, bytes.as_slice()), b',', 0);
        let mut rows = Vec::new();
        loop {
            match splitter.next() {
                Ok(true) => {}
                Ok(false) => break,
                // To the crate, the end of the file closes it.
                Err(error) => {
                    let told = format!("a quote is opened in row {} and never closed", splitter.row() + 1);
                    prop_assert_eq!(error.to_string(), told);
                    expected.pop();
                    break;
                }
            }
            rows.push((0..splitter.len()).map(|cell| splitter.cell(cell).to_vec()).collect::<Vec<_>>());
        }
        prop_assert_eq!(rows, expected);
    }
}
