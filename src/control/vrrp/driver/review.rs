//! What the operator wants of reviews, in all groups that share their load.

use vrrpd::Moment;
use vrrpd::sharing::load_sharing::MoveError;
use vrrpd::sharing::review::Start;

use super::apply::{ApplyError, sharing_error};
use super::{GroupConfig, Vrrp};
use crate::config::LoadSharingConfig;

/// What became of the wish for a review in one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The port's name.
    pub port_name: String,
    /// The VRID.
    pub vrid: u8,
    /// When it begins, or why it does not.
    pub outcome: Result<Start, MoveError>,
}

impl Vrrp {
    /// Has everyone's load looked at in all groups that share theirs; what became of it in each. One that follows another is looked at with that.
    pub fn review_now(&mut self, at: impl Into<Moment>) -> Vec<Asked> {
        let now = at.into().now;
        let mut asked = Vec::new();
        for key in self.leading_keys() {
            asked.extend(self.share(key, |sharing, numbers| Asked {
                port_name: sharing.config().port_name.clone(),
                vrid: key.vrid,
                outcome: sharing.review_now(now, numbers),
            }));
        }
        asked
    }

    /// Changes how all groups that share their load do so, until [`apply`](Vrrp::apply) is told otherwise; in how many.
    ///
    /// # Errors
    /// The first group in which that makes no sense; nothing has changed then.
    pub fn set_sharing(
        &mut self,
        at: impl Into<Moment>,
        change: impl Fn(&mut LoadSharingConfig),
    ) -> Result<usize, ApplyError> {
        let at = at.into();
        let changed = |config: &GroupConfig| {
            let mut config = config.clone();
            let sharing = config.sharing.as_mut()?;
            change(&mut sharing.settings);
            Some(match sharing.validate() {
                Ok(()) => Ok(config),
                Err(error) => Err(sharing_error(&config, error)),
            })
        };
        let configs: Vec<GroupConfig> = self
            .groups
            .values()
            .filter_map(|group| changed(&group.config))
            .collect::<Result<_, _>>()?;
        let count = configs.len();
        for config in configs {
            let key = config.key();
            self.adopt_sharing(at, key, &config)?;
            if let Some(group) = self.groups.get_mut(&key) {
                group.config = config;
            }
        }
        Ok(count)
    }
}
