//! How a command names ports: by number, by name, or all of them.

use std::convert::Infallible;
use std::str::FromStr;

use thiserror::Error;

/// Which ports are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortChoice {
    /// Every port.
    All,
    /// The one with this name or number. A name begins with a letter, so no word is both.
    One(String),
}

/// There is no such port.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no port {}; there are {there_are}", wanted.escape_debug())]
pub struct UnknownPort {
    wanted: String,
    there_are: String,
}

impl PortChoice {
    /// The numbers of the ports meant, where `names` are those of all ports in the order of their numbers.
    ///
    /// # Errors
    /// [`UnknownPort`] if none has the number or name.
    pub fn select<N: AsRef<str>>(&self, names: &[N]) -> Result<Vec<usize>, UnknownPort> {
        let wanted = match self {
            Self::All => return Ok((0..names.len()).collect()),
            Self::One(wanted) => wanted,
        };
        let number = wanted.parse().ok().filter(|number| *number < names.len());
        number
            .or_else(|| names.iter().position(|name| name.as_ref() == wanted))
            .map(|number| vec![number])
            .ok_or_else(|| {
                let all: Vec<_> = (0..)
                    .zip(names)
                    .map(|(number, name): (usize, _)| format!("{number} ({})", name.as_ref()))
                    .collect();
                UnknownPort {
                    wanted: wanted.clone(),
                    there_are: all.join(", "),
                }
            })
    }
}

impl FromStr for PortChoice {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "all" => Self::All,
            name => Self::One(name.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(word: &str) -> Result<Vec<usize>, UnknownPort> {
        PortChoice::from_str(word).unwrap().select(&["lan", "wan"])
    }

    #[test]
    fn a_port_is_found_by_number_and_by_name() {
        assert_eq!(select("1"), Ok(vec![1]));
        assert_eq!(select("wan"), Ok(vec![1]));
        assert_eq!(select("all"), Ok(vec![0, 1]));
    }

    #[test]
    fn an_unknown_port_is_told_with_those_that_exist() {
        for word in ["2", "LAN", "-1", "99999999999999999999999"] {
            assert_eq!(
                select(word).unwrap_err().to_string(),
                format!("there is no port {word}; there are 0 (lan), 1 (wan)")
            );
        }
    }
}
