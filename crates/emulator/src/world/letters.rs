//! Generated mail of all the kinds that a mailbox meets: threads, HTML, pictures inside the text, files, attached mails, links.

use bytes::Bytes;
use jiff::Timestamp;
use rand::{Rng, RngExt, rngs::StdRng};
use sha2::{Digest, Sha256};

use super::texts;
use crate::mail::{Attachment, AttachmentKind, Content, Importance, Letter, Person, compose};

/// A little picture: a PNG of one pixel.
const PICTURE: &[u8] = &[
    0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, b'I', b'H', b'D', b'R', 0, 0, 0,
    1, 0, 0, 0, 1, 8, 6, 0, 0, 0, 0x1f, 0x15, 0xc4, 0x89, 0, 0, 0, 0x0a, b'I', b'D', b'A', b'T',
    0x78, 0x9c, 0x63, 0, 1, 0, 0, 5, 0, 1, 0x0d, 0x0a, 0x2d, 0xb4, 0, 0, 0, 0, b'I', b'E', b'N',
    b'D', 0xae, 0x42, 0x60, 0x82,
];
/// Sizes of ordinary files.
const FILE_BYTES: std::ops::Range<usize> = 2_000..60_000;

/// Writes letters of one mailbox.
pub(super) struct Writer<'a> {
    pub(super) random: &'a mut StdRng,
    /// Whose mailbox it is.
    pub(super) me: Person,
    /// Everybody else.
    pub(super) others: Vec<Person>,
    pub(super) domain: String,
    count: u64,
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        random: &'a mut StdRng,
        me: Person,
        others: Vec<Person>,
        domain: &str,
    ) -> Self {
        Self {
            random,
            me,
            others,
            domain: domain.to_owned(),
            count: 0,
        }
    }

    /// A letter to the owner, of any kind.
    pub(super) fn incoming(&mut self, at: Timestamp) -> Content {
        let from = self.somebody();
        let mut letter = self.letter(from, at);
        letter.to.push(self.me.clone());
        if self.random.random_bool(0.3) {
            let cc = self.somebody();
            letter.cc.push(cc);
        }
        self.transport(&mut letter, at);
        self.embellish(letter)
    }

    /// A letter from the owner.
    pub(super) fn outgoing(&mut self, at: Timestamp) -> Content {
        let mut letter = self.letter(self.me.clone(), at);
        let to = self.somebody();
        letter.to.push(to);
        self.embellish(letter)
    }

    /// A letter that is not sent yet.
    pub(super) fn draft(&mut self, at: Timestamp) -> Content {
        let mut letter = self.letter(self.me.clone(), at);
        if self.random.random_bool(0.6) {
            let to = self.somebody();
            letter.to.push(to);
        }
        if self.random.random_bool(0.2) {
            letter.subject = None;
        }
        Content::Letter(Box::new(letter))
    }

    /// A conversation, oldest first: whether the owner wrote the letter, and when.
    pub(super) fn thread(
        &mut self,
        start: Timestamp,
        length: usize,
    ) -> Vec<(bool, Timestamp, Content)> {
        let other = self.somebody();
        let mut thread = Vec::new();
        let mut references: Vec<String> = Vec::new();
        let mut at = start;
        let mut subject = None;
        for turn in 0..length {
            let own = turn % 2 == 1;
            let (from, to) = match own {
                true => (self.me.clone(), other.clone()),
                false => (other.clone(), self.me.clone()),
            };
            let mut letter = self.letter(from, at);
            letter.to.push(to);
            letter.html = false;
            letter.content = self.paragraphs("\r\n\r\n");
            if let (Some(last), Some(subject)) = (references.last(), &subject) {
                letter.subject = Some(format!("Re: {subject}"));
                letter.in_reply_to = Some(last.clone());
                letter.references = Some(references.join(" "));
                letter.content += "\r\n\r\n> ";
                letter.content += texts::SENTENCES[turn % texts::SENTENCES.len()];
            } else {
                subject.clone_from(&letter.subject);
            }
            references.extend(letter.message_id.clone());
            if !own {
                self.transport(&mut letter, at);
            }
            thread.push((own, at, mime(&letter)));
            at += jiff::SignedDuration::from_mins(self.random.random_range(5..2_000));
        }
        thread
    }

    /// A letter with a file of this size.
    pub(super) fn with_file(&mut self, at: Timestamp, bytes: usize) -> Content {
        let from = self.somebody();
        let mut letter = self.letter(from, at);
        letter.to.push(self.me.clone());
        self.transport(&mut letter, at);
        letter.attachments.push(self.file(bytes));
        mime(&letter)
    }

    fn letter(&mut self, from: Person, at: Timestamp) -> Letter {
        self.count += 1;
        let html = self.random.random_bool(0.6);
        let content = if html {
            let paragraphs = self.paragraphs("</p>\r\n<p>");
            format!(
                "<html><head><style>p {{margin: 0}}</style></head><body><p>{paragraphs}</p></body></html>"
            )
        } else {
            self.paragraphs("\r\n\r\n")
        };
        let subject = texts::SUBJECTS[self.random.random_range(0..texts::SUBJECTS.len())];
        Letter {
            subject: Some(subject.to_owned()),
            html,
            content,
            message_id: Some(self.message_id()),
            sender: Some(from.clone()),
            from: Some(from),
            received: Some(at),
            sent: Some(at),
            ..Letter::default()
        }
    }

    /// Makes one letter in a few something special, and gives it its form.
    fn embellish(&mut self, mut letter: Letter) -> Content {
        match self.random.random_range(0..100) {
            0..12 => {
                let bytes = self.random.random_range(FILE_BYTES);
                letter.attachments.push(self.file(bytes));
            }
            12..20 => self.insert_picture(&mut letter),
            20..24 => letter.attachments.push(self.attached_letter()),
            24..27 => {
                letter.attachments.push(link());
                return Content::Letter(Box::new(letter));
            }
            27..33 => letter.importance = Importance::High,
            33..35 => letter.importance = Importance::Low,
            35..45 => return Content::Mime(both_forms(&letter)),
            45..48 => letter.subject = Some(String::new()),
            48..50 => letter.reply_to = vec![self.somebody(), self.somebody()],
            _ => {}
        }
        mime(&letter)
    }

    fn insert_picture(&mut self, letter: &mut Letter) {
        let id = format!("picture{}@{}", self.count, self.domain);
        if !letter.html {
            letter.html = true;
            letter.content = format!("<html><body><p>{}</p></body></html>", letter.content);
        }
        let image = format!("<img src=\"cid:{id}\"></body>");
        letter.content = letter.content.replace("</body>", &image);
        letter.attachments.push(Attachment {
            number: letter.attachments.len() as u64,
            name: Some("picture.png".to_owned()),
            content_type: Some("image/png".to_owned()),
            inline: true,
            content_id: Some(id),
            content_location: None,
            kind: AttachmentKind::File(Bytes::from_static(PICTURE)),
        });
    }

    fn attached_letter(&mut self) -> Attachment {
        let from = self.somebody();
        let at = Timestamp::constant(1_750_000_000, 0);
        let mut inner = self.letter(from, at);
        inner.to.push(self.me.clone());
        let bytes = self.random.random_range(500..5_000);
        inner.attachments.push(self.file(bytes));
        Attachment {
            number: 0,
            name: inner.subject.clone(),
            content_type: None,
            inline: false,
            content_id: None,
            content_location: None,
            kind: AttachmentKind::Item(compose::mime(&inner).into()),
        }
    }

    fn file(&mut self, size: usize) -> Attachment {
        let mut content = b"%PDF-1.4\n".to_vec();
        let start = content.len();
        content.resize(size.max(start), 0);
        self.random.fill_bytes(&mut content[start..]);
        let names = [
            "Offer.pdf",
            "Übersicht 2026.pdf",
            "report (final).pdf",
            "見積.pdf",
        ];
        let name = names[self.random.random_range(0..names.len())];
        Attachment {
            number: 0,
            name: Some(name.to_owned()),
            content_type: Some("application/pdf".to_owned()),
            inline: false,
            content_id: None,
            content_location: None,
            kind: AttachmentKind::File(content.into()),
        }
    }

    /// What the servers on the way add.
    fn transport(&mut self, letter: &mut Letter, at: Timestamp) {
        let id: u32 = self.random.random();
        let date = at.strftime("%a, %d %b %Y %H:%M:%S +0000");
        let headers = [
            (
                "Received",
                format!(
                    "from mx{}.example by {} id {id:08x}; {date}",
                    id % 9,
                    self.domain
                ),
            ),
            ("X-Spam-Score", format!("{}.{}", id % 5, id % 10)),
        ];
        letter
            .headers
            .extend(headers.map(|(name, value)| (name.to_owned(), value)));
    }

    fn paragraphs(&mut self, between: &str) -> String {
        let count = self.random.random_range(1..6);
        let paragraphs: Vec<String> = (0..count)
            .map(|_| {
                let sentences = self.random.random_range(1..4);
                let sentences: Vec<&str> = (0..sentences)
                    .map(|_| texts::SENTENCES[self.random.random_range(0..texts::SENTENCES.len())])
                    .collect();
                sentences.join(" ")
            })
            .collect();
        paragraphs.join(between)
    }

    fn message_id(&mut self) -> String {
        let id: u128 = self.random.random();
        format!("<{id:032x}@{}>", self.domain)
    }

    fn somebody(&mut self) -> Person {
        if self.others.is_empty() || self.random.random_bool(0.2) {
            return Person {
                name: "Kim Partner".to_owned(),
                address: "kim.partner@fabrikam.example".to_owned(),
            };
        }
        self.others[self.random.random_range(0..self.others.len())].clone()
    }
}

fn mime(letter: &Letter) -> Content {
    Content::Mime(compose::mime(letter).into())
}

/// A link to a file in the cloud, which MIME lacks.
fn link() -> Attachment {
    Attachment {
        number: 0,
        name: Some("Budget.xlsx".to_owned()),
        content_type: None,
        inline: false,
        content_id: None,
        content_location: None,
        kind: AttachmentKind::Reference,
    }
}

/// The letter as text and as HTML, in an old character set, as other programs write it.
fn both_forms(letter: &Letter) -> Bytes {
    let plain = Letter {
        html: false,
        content: String::new(),
        ..letter.clone()
    };
    let composed = compose::mime(&plain);
    let composed = String::from_utf8_lossy(&composed);
    let head = composed.split("MIME-Version:").next().unwrap_or_default();
    let digest: [u8; 32] = Sha256::digest(letter.content.as_bytes()).into();
    let boundary = format!("=_{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2]);
    let mut bytes = head.as_bytes().to_vec();
    let text = "Gr\u{fc}\u{df}e! Das Dokument liegt wie besprochen im Archiv.";
    let latin: Vec<u8> = text
        .chars()
        .filter_map(|c| u8::try_from(u32::from(c)).ok())
        .collect();
    bytes.extend(
        format!(
            "MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=\"{boundary}\"\r\n\r\n--{boundary}\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        )
        .bytes(),
    );
    bytes.extend(latin);
    bytes.extend(
        format!(
            "\r\n--{boundary}\r\nContent-Type: text/html; charset=us-ascii\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p>Gr=26uuml;=26szlig;e! Das Dokument liegt=20=\r\nwie besprochen im Archiv.</p>\r\n--{boundary}--\r\n"
        )
        .bytes(),
    );
    bytes.into()
}
