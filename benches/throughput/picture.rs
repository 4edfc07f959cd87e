//! The figures as bars, in SVG.

use std::fmt::Write;

const BAR: u32 = 26;
const LEFT: u32 = 190;
const WIDTH: u32 = 720;

/// Draws rows of a label, millions of packets a second, and a note; rows without a figure are headings.
pub(crate) fn draw(rows: &[(String, Option<f64>, String)]) -> String {
    let most = rows.iter().filter_map(|row| row.1).fold(1.0, f64::max);
    let height = rows.len() as u32 * BAR + 40;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"20\" font-weight=\"bold\">Millions of packets a second, one worker, 60-octet frames</text>\n"
    );
    for (row, (label, mpps, note)) in rows.iter().enumerate() {
        let y = 34 + row as u32 * BAR;
        let text_y = y + 16;
        // Writing to a string does not fail.
        let _ = match mpps {
            None => writeln!(
                svg,
                "<text x=\"10\" y=\"{text_y}\" font-weight=\"bold\">{label}</text>"
            ),
            Some(mpps) => {
                let bar = (mpps / most * f64::from(WIDTH - LEFT - 170)) as u32;
                writeln!(
                    svg,
                    "<text x=\"20\" y=\"{text_y}\">{label}</text>\
                     <rect x=\"{LEFT}\" y=\"{y}\" width=\"{bar}\" height=\"20\" fill=\"#4878a8\"/>\
                     <text x=\"{}\" y=\"{text_y}\">{mpps:.1}  {note}</text>",
                    LEFT + bar + 6
                )
            }
        };
    }
    svg.push_str("</svg>\n");
    svg
}
