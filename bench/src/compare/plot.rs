//! Grouped bars, as SVG.
//!
//! Written by hand, for it is rectangles and words. One panel below another, one group of bars per
//! test, one colour per server, each panel with its own scale.

use std::fmt::Write;

const PANEL_HEIGHT: f64 = 220.0;
const BAR_HEIGHT_MAX: f64 = 140.0;
const BAR_WIDTH: f64 = 14.0;
const GROUP_GAP: f64 = 22.0;
const MARGIN: f64 = 50.0;
const HEAD_HEIGHT: f64 = 60.0;
/// Room for the title even above a single group.
const WIDTH_MIN: f64 = 700.0;
const LEGEND_STEP: f64 = 180.0;
/// Told apart also by those who do not see red and green (Okabe and Ito's palette).
const COLOURS: [&str; 6] = [
    "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
];

/// The bars of one test, one per server.
#[derive(Clone, Debug)]
pub struct Group {
    /// Stands below the bars.
    pub name: String,
    /// Heights, in the order of the legend.
    pub bars: Vec<f64>,
}

/// Draws titled panels of groups; `legend` names the bars of each group.
pub fn bars(title: &str, legend: &[String], panels: &[(String, Vec<Group>)]) -> String {
    let group_width = legend.len() as f64 * BAR_WIDTH + GROUP_GAP;
    let groups = panels
        .iter()
        .map(|(_, groups)| groups.len())
        .max()
        .unwrap_or(0);
    let content = (groups as f64 * group_width).max(legend.len() as f64 * LEGEND_STEP);
    let width = (2.0 * MARGIN + content).max(WIDTH_MIN);
    let height = HEAD_HEIGHT + panels.len() as f64 * PANEL_HEIGHT;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    text(&mut svg, MARGIN, 20.0, "start", title);
    for (index, name) in legend.iter().enumerate() {
        let x = MARGIN + index as f64 * LEGEND_STEP;
        rectangle(&mut svg, x, 32.0, 10.0, 10.0, index);
        text(&mut svg, x + 14.0, 41.0, "start", name);
    }
    for (index, (name, groups)) in panels.iter().enumerate() {
        let floor = HEAD_HEIGHT + (index as f64 + 1.0) * PANEL_HEIGHT - 40.0;
        panel(&mut svg, name, groups, floor, group_width);
    }
    svg.push_str("</svg>\n");
    svg
}

fn panel(svg: &mut String, name: &str, groups: &[Group], floor: f64, group_width: f64) {
    let highest = groups
        .iter()
        .flat_map(|group| &group.bars)
        .copied()
        .fold(0.0, f64::max);
    text(svg, MARGIN, floor - BAR_HEIGHT_MAX - 18.0, "start", name);
    for (index, group) in groups.iter().enumerate() {
        let left = MARGIN + index as f64 * group_width;
        for (server, &value) in group.bars.iter().enumerate() {
            let height = if highest > 0.0 {
                value / highest * BAR_HEIGHT_MAX
            } else {
                0.0
            };
            let x = left + server as f64 * BAR_WIDTH;
            rectangle(svg, x, floor - height, BAR_WIDTH - 2.0, height, server);
            let label = format!("{value:.1}");
            // Values stand upright on their bars: there is no room for them side by side.
            let (x, y) = (x + BAR_WIDTH - 5.0, floor - height - 3.0);
            // Writing to a String cannot fail.
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"8\" \
                 transform=\"rotate(-90 {x:.1} {y:.1})\">{label}</text>"
            );
        }
        text(
            svg,
            left + (group_width - GROUP_GAP) / 2.0,
            floor + 14.0,
            "middle",
            &group.name,
        );
    }
}

fn rectangle(svg: &mut String, x: f64, y: f64, width: f64, height: f64, colour: usize) {
    let fill = COLOURS[colour % COLOURS.len()];
    // Writing to a String cannot fail.
    let _ = writeln!(
        svg,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{fill}\"/>"
    );
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;");
    // Writing to a String cannot fail.
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{content}</text>"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bar_is_drawn_and_the_highest_fills_the_panel() {
        let group = Group {
            name: "A<B".to_owned(),
            bars: vec![1.0, 2.0],
        };
        let legend = ["x", "y"].map(str::to_owned);
        let svg = bars("T", &legend, &[("-P 1".to_owned(), vec![group])]);
        // The background, two legend marks, two bars.
        assert_eq!(svg.matches("<rect").count(), 5);
        assert!(svg.contains("height=\"140.0\"") && svg.contains("height=\"70.0\""));
        assert!(svg.contains("A&lt;B"));
    }
}
