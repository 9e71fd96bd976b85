//! What the sides tell each other of themselves, as lines.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use frazil::{Credentials, Parameters};

/// What a `parameters` line says.
#[derive(Default)]
pub(crate) struct Announced {
    lite: bool,
    pacing: Option<Duration>,
    options: Vec<String>,
}

impl Announced {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut announced = Self::default();
        for field in text.split_whitespace() {
            match field.split_once('=') {
                None if field == "lite" => announced.lite = true,
                Some(("pacing", millis)) => {
                    let millis = millis.parse().map_err(|_| "pacing: not a number of ms")?;
                    announced.pacing = Some(Duration::from_millis(millis));
                }
                Some(("options", names)) => {
                    announced.options = names.split(',').map(str::to_owned).collect();
                }
                _ => return Err(format!("unknown parameter: {field}")),
            }
        }
        Ok(announced)
    }

    /// All that a side tells of itself: this, and what follows `credentials`.
    pub(crate) fn with_credentials(self, text: &str) -> Result<Parameters, Box<dyn Error>> {
        let mut fields = text.split_whitespace();
        let (Some(ufrag), Some(pwd), None) = (fields.next(), fields.next(), fields.next()) else {
            return Err("a username fragment and a password are wanted".into());
        };
        let mut parameters = Parameters::new(Credentials::new(ufrag, pwd)?);
        parameters.lite = self.lite;
        parameters.pacing = self.pacing;
        parameters.options = self.options;
        Ok(parameters)
    }
}

/// The line that [`Announced::parse`] reads.
pub(crate) struct ParametersLine<'a>(pub(crate) &'a Parameters);

impl fmt::Display for ParametersLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("parameters")?;
        if self.0.lite {
            f.write_str(" lite")?;
        }
        if let Some(pacing) = self.0.pacing {
            write!(f, " pacing={}", pacing.as_millis())?;
        }
        if !self.0.options.is_empty() {
            write!(f, " options={}", self.0.options.join(","))?;
        }
        Ok(())
    }
}
