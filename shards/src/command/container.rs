//! What all commands with sub-commands have in common: the answer to a sub-command that is not
//! there, and HELP.

use super::*;

/// Longest part of a sub-command's name that an error repeats.
const NAME_BYTES_MAX: usize = 128;

/// The handler of a container: no sub-command has that name.
pub fn unknown_subcommand<'a>(call: &mut Call<'_, 'a>, args: Args<'a>) -> Result<(), Failure> {
    let name = args.get(1).unwrap_or_default();
    let name = String::from_utf8_lossy(&name[..name.len().min(NAME_BYTES_MAX)]);
    let container = call.command.name.to_ascii_uppercase();
    Err(Failure::from(format!(
        "ERR unknown subcommand '{name}'. Try {container} HELP."
    )))
}

/// Replies as HELP does: the usage, `lines`, and HELP itself.
pub fn reply_help(call: &mut Call<'_, '_>, lines: &[&str]) {
    let container = call.command.name.split('|').next().unwrap_or_default();
    let usage = format!(
        "{} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        container.to_ascii_uppercase()
    );
    let mut reply = call.reply();
    reply.array(lines.len() + 3);
    reply.simple(usage);
    for line in lines {
        reply.simple(line);
    }
    reply.simple("HELP");
    reply.simple("    Prints this help.");
}

/// Refuses a call with a wrong number of arguments that the row's arity lets through.
pub fn wrong_arity(call: &Call<'_, '_>) -> Failure {
    let name = call.command.name;
    Failure::from(format!(
        "ERR wrong number of arguments for '{name}' command"
    ))
}
