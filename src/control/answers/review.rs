//! Answers about reviews: one is begun, or what calls for one is changed.

use vrrpd::Moment;
use vrrpd::sharing::load_sharing::MoveError;
use vrrpd::sharing::review::Start;

use super::Sources;
use crate::command::ReviewThreshold;
use crate::config::LoadSharingConfig;
use crate::control::vrrp::{Asked, Vrrp};

/// What is said where nothing can be reviewed.
const NO_GROUP: &str = "no virtual router of this router shares its load";

/// `review now`.
pub(super) fn now(vrrp: &mut Vrrp, at: Moment) -> Result<String, String> {
    let asked = vrrp.review_now(at);
    if asked.is_empty() {
        return Err(NO_GROUP.to_owned());
    }
    let begun = asked.iter().any(|asked| asked.outcome.is_ok());
    let lines: Vec<String> = asked.iter().map(|asked| said(asked, at)).collect();
    let text = lines.join("\n");
    if begun { Ok(text) } else { Err(text) }
}

/// One group's, in a line.
fn said(asked: &Asked, at: Moment) -> String {
    let outcome = match &asked.outcome {
        Ok(Start::Begun) => "the load is being looked at; see `show flow-rates`".to_owned(),
        Ok(Start::Remembered(begins)) => format!(
            "the load was looked at or shared anew not long ago; the next review begins in {:.1} s",
            begins.since(at.now).as_secs_f64()
        ),
        Err(refused @ MoveError::NotAuthority { authority: Some(_) }) => {
            format!("{refused}; give it the command")
        }
        Err(refused) => refused.to_string(),
    };
    format!("{} {}: {outcome}", asked.port_name, asked.vrid)
}

/// `set review-threshold`: in the workings and in the configuration in force, until the file is read again.
pub(super) fn set_threshold(
    threshold: ReviewThreshold,
    sources: &mut Sources<'_>,
) -> Result<String, String> {
    let change = |settings: &mut LoadSharingConfig| match threshold {
        ReviewThreshold::Rate { value } => settings.review_rate_mbit = value,
        ReviewThreshold::Overflows { value } => settings.review_overflows = value,
        ReviewThreshold::Difference { value } => settings.review_difference_percent = value,
        ReviewThreshold::OverflowDifference { value } => {
            settings.review_overflow_difference = value;
        }
    };
    if let ReviewThreshold::Difference { value } = threshold
        && !LoadSharingConfig::DIFFERENCE_PERCENT.contains(&value)
    {
        let (least, most) = LoadSharingConfig::DIFFERENCE_PERCENT.into_inner();
        return Err(format!("{value} percent is not from {least} to {most}"));
    }
    let vrrp = sources.router.vrrp_mut();
    let groups = vrrp
        .set_sharing(sources.at, change)
        .map_err(|refused| refused.to_string())?;
    if groups == 0 {
        return Err(NO_GROUP.to_owned());
    }
    let configured = sources.config.virtual_routers.iter_mut();
    configured
        .filter_map(|group| group.load_sharing.as_mut())
        .for_each(change);
    Ok(format!(
        "{}, until the file is read again",
        meaning(threshold)
    ))
}

/// A threshold in words.
fn meaning(threshold: ReviewThreshold) -> String {
    let differ = "the load is shared anew if routers differ by more than";
    match threshold {
        ReviewThreshold::Rate { value } => format!("a review is asked for above {value} Mbit/s"),
        ReviewThreshold::Overflows { value } => {
            format!("a review is asked for above {value} overflows a second")
        }
        ReviewThreshold::Difference { value } => format!("{differ} {value} % of the mean"),
        ReviewThreshold::OverflowDifference { value } => {
            format!("{differ} {value} overflows a second")
        }
    }
}
