//! `causet-tune`: checks the kernel and host settings that matter for Causet, and applies those that
//! can be set at run time. It changes nothing that it did not print first.

mod check;
mod host;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use check::{Finding, Needs, Verdict};
use host::{Host, device_of};

/// Checks and applies kernel settings for Causet.
#[derive(Parser)]
#[command(name = "causet-tune", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print every setting with what it should be and why; exit code 1 if something is harmful.
    Check(Options),
    /// Set the sysctls that fall short; needs root and lasts until the next boot.
    Apply {
        #[command(flatten)]
        options: Options,
        /// Print what would be set, and set nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Args)]
struct Options {
    /// The data directory, to judge the disk that holds it.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// The server's tcp-backlog.
    #[arg(long, default_value_t = 511)]
    tcp_backlog: u64,
    /// The server's maxclients.
    #[arg(long, default_value_t = 10_000)]
    maxclients: u64,
    /// Where /proc and /sys are looked for.
    #[arg(long, default_value = "/", hide = true)]
    root: PathBuf,
}

impl Options {
    fn needs(&self) -> Needs {
        Needs {
            tcp_backlog: self.tcp_backlog,
            maxclients: self.maxclients,
        }
    }
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Check(options) => check(&options),
        Command::Apply { options, dry_run } => apply(&options, dry_run),
    }
}

fn check(options: &Options) -> ExitCode {
    let host = Host::at(&options.root);
    let disk = device_of(&options.dir).and_then(|device| host.disk(&device));
    let findings = check::findings(&host, options.needs(), disk.as_ref());
    print!("{}", table(&findings));
    if disk.is_none() {
        println!(
            "\nThe disk below {} is not visible here.",
            options.dir.display()
        );
    }
    if findings
        .iter()
        .any(|finding| finding.verdict == Verdict::Harmful)
    {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// The findings as aligned columns, each that is not good with its reason and remedy below.
fn table(findings: &[Finding]) -> String {
    let width = |of: fn(&Finding) -> &str, head: &str| {
        findings
            .iter()
            .map(|finding| of(finding).len())
            .max()
            .unwrap_or(0)
            .max(head.len())
    };
    let setting = width(|finding| &finding.setting, "SETTING");
    let current = width(|finding| &finding.current, "CURRENT");
    let mut text = format!(
        "{:8}  {:setting$}  {:current$}  RECOMMENDED\n",
        "", "SETTING", "CURRENT"
    );
    for finding in findings {
        let verdict = match finding.verdict {
            Verdict::Good => "ok",
            Verdict::Info => "info",
            Verdict::Advice => "advice",
            Verdict::Harmful => "HARMFUL",
        };
        text.push_str(&format!(
            "{verdict:8}  {:setting$}  {:current$}  {}\n",
            finding.setting, finding.current, finding.recommended
        ));
        if finding.verdict != Verdict::Good {
            text.push_str(&format!("{:8}    why: {}\n", "", finding.why));
            text.push_str(&format!("{:8}    set: {}\n", "", finding.how));
        }
    }
    text
}

fn apply(options: &Options, dry_run: bool) -> ExitCode {
    let host = Host::at(&options.root);
    let mut result = ExitCode::SUCCESS;
    for sysctl in check::sysctls(options.needs()) {
        let Some(current) = host.sysctl(sysctl.name) else {
            println!("{}: not on this kernel, skipped", sysctl.name);
            continue;
        };
        if (sysctl.suffices)(current, sysctl.value) {
            println!("{} = {current}: good", sysctl.name);
            continue;
        }
        println!("{} = {current} -> {}", sysctl.name, sysctl.value);
        if dry_run {
            continue;
        }
        if let Err(error) = host.set_sysctl(sysctl.name, sysctl.value) {
            eprintln!("{}: {error} (are you root?)", sysctl.name);
            result = ExitCode::FAILURE;
        }
    }
    println!("{}", lasting(Path::new("/etc/sysctl.d/90-causet.conf")));
    result
}

/// How to keep sysctls over a boot.
fn lasting(path: &Path) -> String {
    format!(
        "To keep these over a boot, write them as name = value to {}.",
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(verdict: Verdict) -> Finding {
        Finding {
            setting: "vm.swappiness".into(),
            current: "60".into(),
            recommended: "1".into(),
            verdict,
            why: "because",
            how: "sysctl".into(),
        }
    }

    #[test]
    fn only_what_is_not_good_is_explained() {
        assert_eq!(table(&[finding(Verdict::Good)]).lines().count(), 2);
        let harmful = table(&[finding(Verdict::Harmful)]);
        assert!(harmful.contains("why: because") && harmful.contains("HARMFUL"));
    }

    #[test]
    fn apply_sets_what_falls_short_and_a_dry_run_nothing() {
        let root = std::env::temp_dir().join(format!("causet-tune-{}", std::process::id()));
        let file = root.join("proc/sys/vm/swappiness");
        std::fs::create_dir_all(file.parent().expect("has a parent")).expect("directory");
        std::fs::write(&file, "60\n").expect("file");
        let options = Options {
            dir: ".".into(),
            tcp_backlog: 511,
            maxclients: 10_000,
            root: root.clone(),
        };
        apply(&options, true);
        assert_eq!(std::fs::read_to_string(&file).expect("file"), "60\n");
        apply(&options, false);
        assert_eq!(std::fs::read_to_string(&file).expect("file"), "1");
        std::fs::remove_dir_all(root).expect("removed");
    }
}
