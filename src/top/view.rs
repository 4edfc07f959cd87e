//! How the live view looks: the routers of a group below each other, their load as bars; the heaviest end systems; moves.

use std::net::Ipv4Addr;
use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Paragraph, Row, Table};

use super::model::{Group, Model};
use super::sample::{Flows, Member, RouterFlow};

/// The longest bar, and the shortest full one.
const BAR: u16 = 20;
const BAR_LEAST: u16 = 8;
/// The columns of the routers' table, but for the bars.
const NAME: u16 = 22;
const STATE: u16 = 10;
const ROLE: u16 = 9;
const MEGABITS: u16 = 9;
const OF_SHARE: u16 = 8;
const WEIGHT: u16 = 8;
const OVERFLOWS: u16 = 11;
const END_SYSTEMS: u16 = 11;
/// Between them, and the frame around.
const GAPS: u16 = 10;
/// For how long what has just happened stands out.
const FRESH: Duration = Duration::from_secs(3);

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, now: Duration) {
    let [title, notice, body] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Fill(1),
    ])
    .areas(frame.area());
    let group = model.group();
    frame.render_widget(heading(model, group.as_ref()), title);
    if let Some(line) = failure(model, now) {
        frame.render_widget(line, notice);
    } else if model.is_back_since(now, FRESH) {
        frame.render_widget("the router answers again".fg(Color::Green), notice);
    } else if let Some(group) = &group {
        frame.render_widget(review(group), notice);
    }
    match &group {
        Some(group) => draw_group(frame, body, group, now),
        None if model.is_empty() => frame.render_widget("asking …", body),
        None => frame.render_widget("no virtual router of this router shares its load", body),
    }
}

fn heading(model: &Model, group: Option<&Group<'_>>) -> Line<'static> {
    let mut spans = vec!["manifold top".bold(), "   ".into()];
    match group {
        None => spans.push(model.socket.display().to_string().into()),
        Some(group) => {
            let members = group.members;
            let name = format!(
                "{}, VRID {}, {} mode",
                members.port, members.vrid, members.mode
            );
            spans.push(name.into());
            if let (place, count @ 2..) = group.place {
                spans.push(format!("   group {place} of {count}, Tab: the next").into());
            }
        }
    }
    spans.push("   q: quit".dim());
    Line::from(spans)
}

/// What there is to say of a router that does not answer.
fn failure(model: &Model, now: Duration) -> Option<Line<'static>> {
    let (reason, age) = model.failure(now)?;
    let age = match age {
        Some(age) => format!("; these figures are {} s old", age.as_secs()),
        None => String::new(),
    };
    let text = format!("no answer{age}, trying again: {reason}");
    Some(Line::from(Span::styled(
        text,
        Style::new().fg(Color::Red).bold(),
    )))
}

fn review(group: &Group<'_>) -> Line<'static> {
    let Some(flows) = group.flows else {
        return Line::default();
    };
    let window = format!("figures over {:.1} s", flows.window_ms / 1000.0);
    Line::from(match &flows.last_review {
        None => window,
        Some(last) => format!(
            "{window}   last review {:.0} s ago: {}, heaviest router at {:.2} of the mean",
            last.ms_ago / 1000.0,
            last.verdict,
            last.max_over_mean
        ),
    })
}

fn draw_group(frame: &mut Frame<'_>, area: Rect, group: &Group<'_>, now: Duration) {
    let routers = u16::try_from(group.members.routers.len()).unwrap_or(u16::MAX);
    let [above, below] = Layout::vertical([
        Constraint::Length(routers.saturating_add(3)),
        Constraint::Min(3),
    ])
    .areas(area);
    frame.render_widget(routers_table(group, above.width), above);
    let [left, right] =
        Layout::horizontal([Constraint::Percentage(55), Constraint::Percentage(45)]).areas(below);
    if let Some(flows) = group.flows {
        frame.render_widget(end_systems(flows), left);
    }
    frame.render_widget(moves(group, now), right);
}

/// What a router carries: measured of this one, of the others what the allocation says of their end systems.
fn load(flow: &RouterFlow) -> (u64, bool) {
    match flow.bit_s {
        Some(bit_s) if flow.is_this => (bit_s, true),
        _ => (flow.conditions_bit_s, false),
    }
}

fn routers_table(group: &Group<'_>, width: u16) -> Table<'static> {
    let others = NAME + STATE + ROLE + MEGABITS + OF_SHARE + WEIGHT + OVERFLOWS + END_SYSTEMS;
    let longest = width.saturating_sub(others + GAPS).clamp(BAR_LEAST, BAR);
    let flow = |member: &Member| {
        let mut flows = group.flows.into_iter().flat_map(|flows| &flows.routers);
        flows.find(|flow| flow.router_id == member.router_id)
    };
    let loads: Vec<u64> = group
        .members
        .routers
        .iter()
        .map(|member| flow(member).map_or(0, |flow| load(flow).0))
        .collect();
    let most = loads.iter().copied().max().unwrap_or_default().max(1);
    let total: u64 = loads.iter().sum();
    let weights: u64 = group
        .members
        .routers
        .iter()
        .map(|member| u64::from(member.weight))
        .sum();
    let rows = group
        .members
        .routers
        .iter()
        .zip(&loads)
        .map(|(member, bit_s)| {
            let measured = flow(member).is_some_and(|flow| load(flow).1);
            let about = if measured { "" } else { "~" };
            let fair = total as f64 * f64::from(member.weight) / weights.max(1) as f64;
            let of_mean = match fair > 0.0 {
                true => format!("{:.2}", *bit_s as f64 / fair),
                false => "-".into(),
            };
            let overflows = flow(member).and_then(|flow| flow.overflows_s);
            let full = overflows.is_some_and(|overflows| overflows > 0.0);
            let role = match (
                member.master,
                group.members.authority == Some(member.router_id),
            ) {
                (true, true) => "master",
                (true, false) => "master, no authority",
                (false, true) => "authority",
                (false, false) => "",
            };
            let name = match member.is_this {
                true => format!("{} (this)", member.router_id),
                false => member.router_id.to_string(),
            };
            let state = match member.state.as_str() {
                "working" => Cell::from(member.state.clone()),
                _ => Cell::from(member.state.clone()).fg(Color::Yellow),
            };
            let overflows =
                Cell::from(overflows.map_or_else(|| "-".into(), |rate| format!("{rate:.1}")));
            Row::new([
                Cell::from(name),
                state,
                Cell::from(role),
                Cell::from(bar(*bit_s, most, longest)).fg(Color::Cyan),
                Cell::from(format!("{about}{:.2}", *bit_s as f64 / 1e6)),
                Cell::from(of_mean),
                weight(member, flow(member)),
                if full {
                    overflows.fg(Color::Red)
                } else {
                    overflows
                },
                Cell::from(member.conditions.to_string()),
            ])
        });
    let widths = [
        NAME,
        STATE,
        ROLE,
        longest,
        MEGABITS,
        OF_SHARE,
        WEIGHT,
        OVERFLOWS,
        END_SYSTEMS,
    ];
    let widths = widths.map(Constraint::Max);
    let header = [
        "router",
        "state",
        "role",
        "load",
        "Mbit/s",
        "of share",
        "weight",
        "overflows/s",
        "end systems",
    ];
    Table::new(rows, widths)
        .header(Row::new(header).bold())
        .block(Block::bordered().title("routers (~: as last reviewed)"))
}

/// A router's weight, and what part of it counts where it was relieved because it overflowed.
fn weight(member: &Member, flow: Option<&RouterFlow>) -> Cell<'static> {
    match flow.map(|flow| flow.weight_percent) {
        Some(percent) if percent < 100.0 => {
            Cell::from(format!("{}·{percent:.0}%", member.weight)).fg(Color::Yellow)
        }
        _ => Cell::from(member.weight.to_string()),
    }
}

/// As long as `value` is of `most`, of which the bar is `longest`.
fn bar(value: u64, most: u64, longest: u16) -> String {
    let length = value as f64 / most.max(1) as f64 * f64::from(longest);
    "█".repeat(length.round().min(f64::from(longest)) as usize)
}

fn end_systems(flows: &Flows) -> Table<'static> {
    let rows = flows.conditions.iter().map(|one| {
        let rate = one.bit_s.max(one.known_bit_s);
        Row::new([
            one.condition.clone(),
            one.router.to_string(),
            format!("{:.1}", rate as f64 / 1e3),
        ])
    });
    let widths = [
        Constraint::Fill(1),
        Constraint::Fill(1),
        Constraint::Length(10),
    ];
    Table::new(rows, widths)
        .header(Row::new(["end system", "router", "kbit/s"]).bold())
        .block(Block::bordered().title("heaviest end systems"))
}

fn moves(group: &Group<'_>, now: Duration) -> Paragraph<'static> {
    let lines: Vec<Line<'static>> = group
        .moved
        .iter()
        .map(|moved| {
            let age = now.saturating_sub(moved.at);
            let text = format!(
                "{:>4} s ago  {}  {} → {}",
                age.as_secs(),
                moved.condition,
                last_octets(moved.from),
                last_octets(moved.to)
            );
            match age < FRESH {
                true => Line::from(text).fg(Color::Green),
                false => Line::from(text),
            }
        })
        .collect();
    let title = format!("moves ({} under way)", group.under_way);
    Paragraph::new(lines).block(Block::bordered().title(title))
}

/// Routers of a group are on one link: the end of an address tells them apart.
fn last_octets(router: Ipv4Addr) -> String {
    let [_, _, third, fourth] = router.octets();
    format!("…{third}.{fourth}")
}

#[cfg(test)]
mod tests;
