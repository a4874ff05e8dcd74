//! Requests encoded once, patched in place ever after.
//!
//! A load generator that formats each request is soon slower than the server it measures. Here a
//! command is encoded to RESP when the run is set up; what differs from request to request is a
//! twelve-digit number, overwritten where it stands. The placeholder is redis-benchmark's
//! `__rand_int__`, which is twelve bytes as well: patching never moves a byte.

use crate::keys::Keys;
use crate::rng::Rng;

/// Stands in an argument for a number drawn anew for each request.
pub const RANDOM_PLACEHOLDER: &str = "__rand_int__";

/// Digits of a patched number; larger keyspaces than 10^12 cannot be expressed.
pub const DIGITS: usize = RANDOM_PLACEHOLDER.len();

/// One command, encoded, with the places of its numbers.
#[derive(Clone, Debug)]
pub struct Template {
    bytes: Vec<u8>,
    /// Offsets of the first digit of each number.
    fields: Vec<usize>,
}

impl Template {
    /// Encodes a command and finds its placeholders. O(total length).
    pub fn new<A: AsRef<[u8]>>(arguments: &[A]) -> Template {
        let bytes = encode(arguments);
        let fields = bytes
            .windows(DIGITS)
            .enumerate()
            .filter(|(_, window)| *window == RANDOM_PLACEHOLDER.as_bytes())
            .map(|(offset, _)| offset)
            .collect();
        Template { bytes, fields }
    }

    /// The request's length in bytes, the same for every request of this template.
    pub fn request_bytes(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    fn patch(&self, request: &mut [u8], keys: &mut Keys, rng: &mut Rng) {
        debug_assert_eq!(request.len(), self.bytes.len());
        for &offset in &self.fields {
            write_digits(&mut request[offset..offset + DIGITS], keys.draw(rng));
        }
    }
}

/// A command as an array of bulk strings. O(total length).
pub fn encode<A: AsRef<[u8]>>(arguments: &[A]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        let argument = argument.as_ref();
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// Writes `number` as zero-padded decimal over all of `place`, keeping its low digits.
#[inline]
fn write_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        if number == 0 {
            *digit = b'0';
            continue;
        }
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Commands and how often each is sent.
#[derive(Clone, Debug)]
pub struct Mix {
    templates: Vec<Template>,
    /// Running totals of the weights; the last is their sum.
    weights_until: Vec<u64>,
}

impl Mix {
    /// Only this command.
    pub fn single(template: Template) -> Mix {
        Mix::weighted(vec![(template, 1)])
    }

    /// Each command in proportion to its weight. There is at least one, and each weight is at
    /// least 1.
    pub fn weighted(commands: Vec<(Template, u64)>) -> Mix {
        assert!(!commands.is_empty(), "a mix holds at least one command");
        assert!(
            commands.iter().all(|(_, weight)| *weight > 0),
            "a weight is at least 1"
        );
        let mut total = 0;
        let (templates, weights_until) = commands
            .into_iter()
            .map(|(template, weight)| {
                total += weight;
                (template, total)
            })
            .unzip();
        Mix {
            templates,
            weights_until,
        }
    }

    fn pick(&self, rng: &mut Rng) -> &Template {
        let Some(total) = self
            .weights_until
            .last()
            .filter(|_| self.templates.len() > 1)
        else {
            return &self.templates[0];
        };
        let ticket = rng.below(*total);
        &self.templates[self.weights_until.partition_point(|&until| until <= ticket)]
    }
}

/// A connection's outgoing bytes: whole requests, part of which may already be sent.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    /// Bytes at the front that the kernel has taken.
    sent: usize,
    /// End of what is to be sent; beyond it stand requests kept for the next, larger batch.
    end: usize,
}

impl Batch {
    /// Replaces a sent batch by `count` fresh requests. With one command in the mix nothing but
    /// digits is written; else the templates are copied.
    #[inline]
    pub fn refill(&mut self, mix: &Mix, keys: &mut Keys, rng: &mut Rng, count: usize) {
        debug_assert!(self.is_sent(), "an unsent request would be lost");
        self.sent = 0;
        self.end = 0;
        if let [template] = mix.templates.as_slice() {
            let stride = template.request_bytes();
            while self.bytes.len() < count * stride {
                self.bytes.extend_from_slice(&template.bytes);
            }
            self.end = count * stride;
            for request in self.bytes[..self.end].chunks_exact_mut(stride) {
                template.patch(request, keys, rng);
            }
            return;
        }
        self.bytes.clear();
        for _ in 0..count {
            self.push(mix, keys, rng);
        }
    }

    /// Appends one request behind those not yet sent.
    #[inline]
    pub fn push(&mut self, mix: &Mix, keys: &mut Keys, rng: &mut Rng) {
        if self.is_sent() {
            self.sent = 0;
            self.end = 0;
        }
        self.bytes.truncate(self.end);
        let template = mix.pick(rng);
        self.bytes.extend_from_slice(&template.bytes);
        template.patch(&mut self.bytes[self.end..], keys, rng);
        self.end = self.bytes.len();
    }

    /// What is still to be sent.
    pub fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..self.end]
    }

    /// Notes that the kernel took `count` bytes.
    pub fn advance(&mut self, count: usize) {
        self.sent += count;
        debug_assert!(self.sent <= self.end);
    }

    /// Whether nothing is left to send.
    pub fn is_sent(&self) -> bool {
        self.sent == self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_the_commands_resp_form() {
        let template = Template::new(&["SET", "key:__rand_int__", "xx"]);
        assert_eq!(
            template.bytes,
            b"*3\r\n$3\r\nSET\r\n$16\r\nkey:__rand_int__\r\n$2\r\nxx\r\n"
        );
        assert_eq!(template.fields.len(), 1);
    }

    #[test]
    fn patching_writes_twelve_digits_and_nothing_else() {
        let mix = Mix::single(Template::new(&["GET", "key:__rand_int__"]));
        let mut keys = Keys::Sequential {
            count: 20_000,
            next: 12_345,
        };
        let mut batch = Batch::default();
        batch.refill(&mix, &mut keys, &mut Rng::new(0), 2);
        assert_eq!(
            batch.unsent(),
            b"*2\r\n$3\r\nGET\r\n$16\r\nkey:000000012345\r\n*2\r\n$3\r\nGET\r\n$16\r\nkey:000000012346\r\n"
        );
    }

    #[test]
    fn a_shorter_batch_leaves_no_old_digits_behind() {
        let mix = Mix::single(Template::new(&["GET", "__rand_int__"]));
        let mut keys = Keys::Sequential {
            count: 1000,
            next: 999,
        };
        let mut rng = Rng::new(0);
        let mut batch = Batch::default();
        batch.refill(&mix, &mut keys, &mut rng, 3);
        batch.advance(batch.unsent().len());
        batch.refill(&mix, &mut keys, &mut rng, 1);
        assert_eq!(
            batch.unsent(),
            b"*2\r\n$3\r\nGET\r\n$12\r\n000000000002\r\n"
        );
    }

    #[test]
    fn a_partly_sent_batch_keeps_its_place_when_requests_are_pushed() {
        let mix = Mix::single(Template::new(&["PING"]));
        let (mut keys, mut rng) = (Keys::uniform(1), Rng::new(0));
        let mut batch = Batch::default();
        batch.push(&mix, &mut keys, &mut rng);
        batch.advance(4);
        batch.push(&mix, &mut keys, &mut rng);
        assert_eq!(batch.unsent(), b"$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n");
    }

    #[test]
    fn a_mix_is_sent_in_proportion_to_its_weights() {
        let mix = Mix::weighted(vec![
            (Template::new(&["A"]), 1),
            (Template::new(&["BB"]), 9),
        ]);
        let mut rng = Rng::new(11);
        let long = (0..10_000)
            .filter(|_| mix.pick(&mut rng).request_bytes() == 12)
            .count();
        assert!((8_800..9_200).contains(&long), "{long}");
    }
}
