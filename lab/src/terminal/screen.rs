//! What stands on a terminal, as far as full-screen programs need one: text, the cursor sent elsewhere, and erasing (ECMA-48). Colours and the
//! rest are passed over.

use std::fmt;

use super::Size;

/// How far a control sequence has come.
#[derive(Debug)]
enum State {
    Text,
    /// Behind an escape.
    Escape,
    /// Behind an escape and `[`: what stood before the final octet.
    Sequence(String),
}

/// The characters that stand on a screen, and where the next goes.
#[derive(Debug)]
pub(super) struct Screen {
    lines: Vec<Vec<char>>,
    line: usize,
    column: usize,
    state: State,
    /// The first octets of a character whose others are still to come.
    pending: Vec<u8>,
}

impl Screen {
    pub(super) fn new((columns, rows): Size) -> Self {
        Self {
            lines: vec![vec![' '; columns.into()]; rows.into()],
            line: 0,
            column: 0,
            state: State::Text,
            pending: Vec::new(),
        }
    }

    /// Takes what a program printed, in pieces of any length.
    pub(super) fn print(&mut self, octets: &[u8]) {
        self.pending.extend_from_slice(octets);
        let pending = std::mem::take(&mut self.pending);
        let mut rest = pending.as_slice();
        loop {
            match str::from_utf8(rest) {
                Ok(text) => {
                    text.chars().for_each(|character| self.take(character));
                    return;
                }
                Err(error) => {
                    let (text, behind) = rest.split_at(error.valid_up_to());
                    String::from_utf8_lossy(text)
                        .chars()
                        .for_each(|character| self.take(character));
                    match error.error_len() {
                        Some(wrong) => rest = &behind[wrong..],
                        None => {
                            self.pending = behind.to_vec();
                            return;
                        }
                    }
                }
            }
        }
    }

    fn take(&mut self, character: char) {
        match &mut self.state {
            State::Escape if character == '[' => self.state = State::Sequence(String::new()),
            State::Escape => self.state = State::Text,
            State::Sequence(parameters) if ('\x20'..='\x3f').contains(&character) => {
                parameters.push(character);
            }
            State::Sequence(parameters) => {
                let parameters = std::mem::take(parameters);
                self.state = State::Text;
                self.control(&parameters, character);
            }
            State::Text => match character {
                '\x1b' => self.state = State::Escape,
                '\r' => self.column = 0,
                '\n' => self.line += 1,
                character if character.is_control() => {}
                character => {
                    let place = self.lines.get_mut(self.line);
                    if let Some(place) = place.and_then(|line| line.get_mut(self.column)) {
                        *place = character;
                    }
                    self.column += 1;
                }
            },
        }
    }

    fn control(&mut self, parameters: &str, last: char) {
        let mut numbers = parameters
            .split(';')
            .map(|number| number.parse().unwrap_or(0));
        let mut next = || -> usize { numbers.next().unwrap_or(0) };
        match last {
            'H' | 'f' => {
                let (line, column) = (next(), next());
                self.line = line.saturating_sub(1);
                self.column = column.saturating_sub(1);
            }
            'J' => self.lines.iter_mut().for_each(|line| line.fill(' ')),
            'K' => {
                let behind = self.lines.get_mut(self.line);
                if let Some(behind) = behind.and_then(|line| line.get_mut(self.column..)) {
                    behind.fill(' ');
                }
            }
            _ => {}
        }
    }
}

impl fmt::Display for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            let line: String = line.iter().collect();
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_printed_stands_where_it_was_sent_even_if_it_comes_octet_by_octet() {
        let printed = "\x1b[?1049h\x1b[2J\x1b[1;38;5;6mfirst\x1b[0m\r\nnext\x1b[3;4H█ …\x1b[1;2HIRS\x1b[2;3H\x1b[K";
        let mut whole = Screen::new((8, 3));
        whole.print(printed.as_bytes());
        assert_eq!(whole.to_string(), "fIRSt\nne\n   █ …\n");
        let mut pieces = Screen::new((8, 3));
        printed.bytes().for_each(|octet| pieces.print(&[octet]));
        assert_eq!(pieces.to_string(), whole.to_string());
        whole.print(b"\x1b[2J\xff\x1b[9;9Hx\x1b[1;8Hlong");
        assert_eq!(whole.to_string(), "       l\n\n\n");
    }
}
