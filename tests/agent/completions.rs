//! What a shell completes after `osm-agent` and `osm-api`.

use std::{fs, path::Path, process::Command};

use osm_tests::process::{Host, command, program};

/// Calls the function that the script `$1` names for the program, as bash does when a person types the other words and then Tab.
const COMPLETE: &str = r#"
source "$1"; shift
words=($(complete -p "$1")); while [ "${words[0]}" != -F ]; do words=("${words[@]:1}"); done
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
"${words[1]}" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// What bash offers for the last of these words.
fn offered(host: &Host, words: &[&str]) -> Vec<String> {
    let mut bash: Command = command(Path::new("bash"));
    bash.args(["--norc", "-c", COMPLETE, "bash"]).arg(host.path("completions")).args(words);
    let ended = host.output(&mut bash).succeeded();
    ended.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_every_command_and_what_belongs_to_it() {
    let host = Host::default();
    fs::write(host.path("completions"), host.output(&mut host.command(&["completions", "bash"])).succeeded()).unwrap();
    for command in
        ["pair", "run", "status", "services", "report", "doctor", "unpair", "clean-journal", "completions", "policy", "help"]
    {
        assert!(offered(&host, &["osm-agent", ""]).contains(&command.to_owned()), "{command}");
    }
    assert_eq!(offered(&host, &["osm-agent", "do"]), ["doctor"]);
    assert_eq!(offered(&host, &["osm-agent", "policy", "a"]), ["apply", "allow"]);
    assert_eq!(offered(&host, &["osm-agent", "unpair", "--l"]), ["--local"]);
    for shell in ["zsh", "fish"] {
        let script = host.output(&mut host.command(&["completions", shell])).succeeded();
        assert!(script.contains("clean-journal") && script.contains("token-file"), "{shell}");
    }
}

#[test]
fn bash_completes_the_backends_commands_too() {
    let host = Host::default();
    let script = host.output(command(&program("osm-api")).args(["completions", "bash"])).succeeded();
    fs::write(host.path("completions"), script).unwrap();
    assert_eq!(offered(&host, &["osm-api", "comp"]), ["completions"]);
    assert_eq!(offered(&host, &["osm-api", "keys", "s"]), ["show"]);
}
