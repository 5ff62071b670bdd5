/// Whether `c` is one of the characters without a shape that copying text from pages and address books leaves behind:
/// soft hyphens, zero-width spaces and joiners, direction marks, byte order marks.
pub(crate) fn is_invisible_mark(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}
