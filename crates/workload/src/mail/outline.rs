//! MIME of which only the outline is in memory.
//!
//! Nearly all of a large message is the base64 of its attachments. While it is read, their lines are left out, and where they lay is kept, so
//! that what remains has a few kilobytes for each part and can be taken apart as any other mail. The lines are read again, some at a time, when
//! they are sent. A line is left out only if it is one of many below headers that say base64, all of the same length and without anything else: what
//! they decode to can be told from where they lie. Everything else stays, whatever it is. It reads nothing itself.

use std::ops::Range;

use bytes::Bytes;
use data_encoding::BASE64;

/// Lines of so many bytes together are left out.
const GAP_BYTES_MIN: usize = 32 * 1024;
/// And so many where they may be within an attached message: with so much it is too large to be restored as a message (see `attachment`), and of
/// a smaller one everything is needed.
const GAP_WITHIN_BYTES_MIN: usize = 4 * 1024 * 1024;
/// Longer lines stay. Mail has none of more than a thousand.
const LINE_BYTES_MAX: usize = 1_000;
/// So much is looked at of what stands before an empty line.
const HEADERS_BYTES_MAX: usize = 64 * 1024;

/// MIME without most lines of its large base64 parts.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    text: Bytes,
    gaps: Vec<Gap>,
    size: u64,
}

/// Where lines were left out of the text: before the byte `at`.
#[derive(Clone, Copy, Debug)]
struct Gap {
    at: usize,
    lines: Lines,
}

/// Lines of base64 in a MIME, all of the same length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lines {
    /// Where in the MIME the first begins.
    from: u64,
    /// How many there are; their characters together are a multiple of four.
    count: u64,
    /// The characters of each.
    width: u64,
    /// The bytes of each line's end.
    end: u64,
}

/// A part of a content.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    /// In memory.
    Here(Bytes),
    /// As it stands in the MIME.
    Raw(Lines),
    /// What lines of the MIME decode to.
    Decoded(Lines),
}

/// Content of which most is still in the MIME.
#[derive(Clone, Debug)]
pub(crate) struct Far {
    pieces: Vec<Piece>,
}

/// One step to a range of content.
#[derive(Debug)]
pub(crate) enum Step {
    /// These bytes.
    Take(Bytes),
    /// This range of the MIME.
    Copy(Range<u64>),
    /// This range of the MIME, to be decoded; of that this range.
    Decode(Range<u64>, Range<usize>),
}

impl Outline {
    /// How long the MIME is, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.size
    }

    /// How much of it is in memory, in bytes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.text.len()
    }

    /// What is in memory of it, as one text.
    pub(crate) fn text(&self) -> &Bytes {
        &self.text
    }

    /// How many gaps there are.
    pub(crate) fn gap_count(&self) -> usize {
        self.gaps.len()
    }

    /// How many gaps are within this range of the text.
    pub(crate) fn gaps_within(&self, range: &Range<usize>) -> usize {
        self.within(range).count()
    }

    /// What stands in the MIME where this range of the text is.
    pub(crate) fn raw(&self, range: Range<usize>) -> Far {
        let mut pieces = Vec::new();
        let mut start = range.start;
        for gap in self.within(&range) {
            pieces.push(Piece::Here(self.text.slice(start..gap.at)));
            pieces.push(Piece::Raw(gap.lines));
            start = gap.at;
        }
        pieces.push(Piece::Here(self.text.slice(start..range.end)));
        Far { pieces }
    }

    /// What the base64 decodes to that stands in the MIME where this range of the text is, with one gap in it. `outline` is what the text itself
    /// decodes to. `None` when there are more gaps, or what is before the gap is not as it was when the lines were left out.
    pub(crate) fn decoded(&self, range: Range<usize>, outline: &Bytes) -> Option<Far> {
        let mut gaps = self.within(&range);
        let (Some(gap), None) = (gaps.next(), gaps.next()) else {
            return None;
        };
        let mut before = 0;
        for line in self.text[range.start..gap.at].split_inclusive(|&byte| byte == b'\n') {
            let width = width(line);
            let is_empty = line.trim_ascii().is_empty();
            if !is_empty && width as u64 != gap.lines.width {
                return None;
            }
            before += width;
        }
        let is_even = before.is_multiple_of(4);
        let before = before / 4 * 3;
        (is_even && before <= outline.len()).then(|| Far {
            pieces: vec![
                Piece::Here(outline.slice(..before)),
                Piece::Decoded(gap.lines),
                Piece::Here(outline.slice(before..)),
            ],
        })
    }

    fn within(&self, range: &Range<usize>) -> impl Iterator<Item = &Gap> {
        let range = range.clone();
        self.gaps
            .iter()
            .filter(move |gap| range.start < gap.at && gap.at <= range.end)
    }
}

/// MIME that is in memory whole.
impl From<Bytes> for Outline {
    fn from(mime: Bytes) -> Self {
        Self {
            size: mime.len() as u64,
            text: mime,
            gaps: Vec::new(),
        }
    }
}

impl Lines {
    fn raw_bytes(&self) -> u64 {
        self.count * self.line_bytes()
    }

    /// One line with its end.
    fn line_bytes(&self) -> u64 {
        self.width + self.end
    }

    fn decoded_bytes(&self) -> u64 {
        self.count * self.width / 4 * 3
    }

    /// Where in the MIME a character is.
    fn place(&self, character: u64) -> u64 {
        self.from + character / self.width * self.line_bytes() + character % self.width
    }

    /// Of so many lines the characters are a multiple of four.
    fn lines_even(&self) -> u64 {
        match self.width % 4 {
            0 => 1,
            2 => 2,
            _ => 4,
        }
    }
}

impl Piece {
    fn size_bytes(&self) -> u64 {
        match self {
            Self::Here(bytes) => bytes.len() as u64,
            Self::Raw(lines) => lines.raw_bytes(),
            Self::Decoded(lines) => lines.decoded_bytes(),
        }
    }

    fn step(&self, range: Range<u64>) -> Step {
        match self {
            Self::Here(bytes) => Step::Take(bytes.slice(range.start as usize..range.end as usize)),
            Self::Raw(lines) => Step::Copy(lines.from + range.start..lines.from + range.end),
            Self::Decoded(lines) => {
                // Four characters decode to three bytes.
                let (first, last) = (range.start / 3, range.end.div_ceil(3));
                let start = (range.start - first * 3) as usize;
                let length = (range.end - range.start) as usize;
                Step::Decode(
                    lines.place(first * 4)..lines.place(last * 4),
                    start..start + length,
                )
            }
        }
    }
}

impl Far {
    /// How long it is, in bytes.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.pieces.iter().map(Piece::size_bytes).sum()
    }

    /// How to come to a range of it, in order.
    pub(crate) fn steps(&self, range: Range<u64>) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut start = 0;
        for piece in &self.pieces {
            let end = start + piece.size_bytes();
            let (from, to) = (range.start.max(start), range.end.min(end));
            if from < to {
                steps.push(piece.step(from - start..to - start));
            }
            start = end;
        }
        steps
    }
}

/// What lines of base64 decode to; `None` when they are not what was left out.
pub(crate) fn decode_lines(mut raw: Vec<u8>) -> Option<Vec<u8>> {
    raw.retain(|byte| !matches!(byte, b'\r' | b'\n'));
    BASE64.decode(&raw).ok()
}

/// Makes an outline of a MIME that comes in parts.
#[derive(Default)]
pub(crate) struct Outliner {
    text: Vec<u8>,
    gaps: Vec<Gap>,
    size: u64,
    /// Where in the text the line begins that has no end yet.
    line: usize,
    /// Where in the text the header block would begin that ends with the next empty line.
    block: usize,
    /// The lines of base64 at whose end we are.
    run: Option<Run>,
    /// What follows may be within an attached message.
    has_messages: bool,
}

/// Full lines of base64, one after the other.
enum Run {
    /// The first line is to come.
    Expected,
    /// The first is the measure. It stays with as many as make their characters a multiple of four, and so does the last. Those between lie in the
    /// text from `at` on until they are left out.
    Lines { at: usize, lines: Lines, first: u64 },
}

impl Outliner {
    /// The next part.
    pub(crate) fn push(&mut self, part: &[u8]) {
        for line in part.split_inclusive(|&byte| byte == b'\n') {
            self.text.extend_from_slice(line);
            self.size += line.len() as u64;
            if line.ends_with(b"\n") {
                self.end_line();
                self.line = self.text.len();
            }
        }
    }

    /// All of it has come.
    pub(crate) fn finish(mut self) -> Outline {
        self.end_run();
        self.text.shrink_to_fit();
        Outline {
            text: self.text.into(),
            gaps: self.gaps,
            size: self.size,
        }
    }

    fn end_line(&mut self) {
        let line = &self.text[self.line..];
        let (width, length) = (width(line), line.len());
        let is_full = width > 0;
        let gap_bytes_min = match self.has_messages {
            true => GAP_WITHIN_BYTES_MIN,
            false => GAP_BYTES_MIN,
        };
        match &mut self.run {
            Some(Run::Expected) if is_full => {
                self.run = Some(Run::Lines {
                    at: self.text.len(),
                    lines: Lines {
                        from: self.size,
                        count: 0,
                        width: width as u64,
                        end: (length - width) as u64,
                    },
                    first: 1,
                });
            }
            Some(Run::Lines { at, lines, first })
                if width as u64 == lines.width && length as u64 == lines.line_bytes() =>
            {
                if *first < lines.lines_even() {
                    *first += 1;
                    (*at, lines.from) = (self.text.len(), self.size);
                    return;
                }
                let between = self.line - *at;
                if lines.count > 0 || between >= gap_bytes_min {
                    let even = between as u64 / lines.line_bytes() / lines.lines_even();
                    let out = even * lines.lines_even();
                    lines.count += out;
                    self.text
                        .drain(*at..*at + (out * lines.line_bytes()) as usize);
                }
            }
            _ => self.end_other(),
        }
    }

    /// The end of a line that belongs to no run.
    fn end_other(&mut self) {
        self.end_run();
        if self.text[self.line..].trim_ascii().is_empty() {
            let headers = bare(&self.text[self.block..self.line]);
            let names_message = has(&headers, b"message/") || has(&headers, b"/digest");
            self.has_messages |= names_message;
            let is_base64 = has(&headers, b"content-transfer-encoding:base64") && !names_message;
            self.run = is_base64.then_some(Run::Expected);
            self.block = self.text.len();
        }
    }

    fn end_run(&mut self) {
        if let Some(Run::Lines { at, lines, .. }) = self.run.take() {
            self.block = self.line;
            if lines.count > 0 {
                self.gaps.push(Gap { at, lines });
            }
        }
    }
}

/// How many characters of base64 a line has; 0 if it has anything else.
fn width(line: &[u8]) -> usize {
    let bare = line.strip_suffix(b"\n").unwrap_or(line);
    let bare = bare.strip_suffix(b"\r").unwrap_or(bare);
    let is_full = line.len() <= LINE_BYTES_MAX
        && line.len() > bare.len()
        && bare
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'));
    if is_full { bare.len() } else { 0 }
}

/// The end of a block of headers, in small letters and without spaces.
fn bare(headers: &[u8]) -> Vec<u8> {
    let last = &headers[headers.len().saturating_sub(HEADERS_BYTES_MAX)..];
    let bytes = last.iter().filter(|byte| !byte.is_ascii_whitespace());
    bytes.map(u8::to_ascii_lowercase).collect()
}

fn has(headers: &[u8], text: &[u8]) -> bool {
    headers.windows(text.len()).any(|window| window == text)
}

#[cfg(test)]
mod tests;
