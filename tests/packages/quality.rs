//! What can be said of the packages without installing them.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use crate::site::{package, packages};

#[test]
fn lintian_has_nothing_to_say() -> Result<()> {
    for name in ["osm-agent_", "osm-api_"] {
        let deb = package(&packages()?, name, ".deb")?;
        let said = output(
            Command::new("lintian").args(["--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0"]).arg(&deb),
        );
        assert_eq!(said?, "", "{}", deb.display());
    }
    Ok(())
}

/// What runs as root, at other people's.
#[test]
fn the_scripts_are_fine_by_shellcheck() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let scripts = ["api/dist/install.sh", "debian/osm-agent/postinst", "debian/osm-agent/postrm", "debian/osm-api/postrm"];
    let tools = [
        "debian/build",
        "debian/public-key",
        "debian/repository",
        "debian/tools",
        "debian/with-key",
        "rpm/build",
        "rpm/repository",
    ];
    let said = output(
        Command::new("shellcheck")
            .current_dir(root)
            .args(scripts)
            .args(tools)
            .args(["tests/scripts/need", "tests/scripts/released"]),
    )?;
    assert_eq!(said, "");
    Ok(())
}

#[test]
fn both_families_carry_the_same_files() -> Result<()> {
    for name in ["osm-agent", "osm-api"] {
        let deb = output(Command::new("dpkg-deb").arg("--contents").arg(package(&packages()?, &format!("{name}_"), ".deb")?))?;
        let rpm = output(Command::new("rpm").args(["--query", "--list", "--package"]).arg(package(
            &packages()?,
            &format!("{name}-"),
            ".rpm",
        )?))?;
        let mut of_deb: Vec<_> =
            deb.lines().filter(|line| !line.starts_with('d')).filter_map(|line| line.split(" ./").nth(1)).collect();
        let mut of_rpm: Vec<_> = rpm
            .lines()
            .filter_map(|line| line.strip_prefix('/'))
            .filter(|path| !path.starts_with("etc/osm-") || path.contains('.'))
            .collect();
        // Each family has its own place for papers and for zsh's completions.
        for paths in [&mut of_deb, &mut of_rpm] {
            paths.retain(|path| {
                !path.contains("/doc/")
                    && !path.contains("/licenses/")
                    && !path.contains("/zsh/")
                    && !path.contains("system-preset")
                    && !path.contains("/lintian/")
            });
            paths.sort_unstable();
        }
        assert_eq!(of_deb, of_rpm);
        assert!(of_deb.contains(&format!("usr/bin/{name}").as_str()), "{of_deb:?}");
    }
    Ok(())
}

/// Every command of the packed program is in the manual that is packed with it, and groff has nothing to say about that.
#[test]
fn the_manual_knows_every_command() -> Result<()> {
    for name in ["osm-agent", "osm-api"] {
        let unpacked = tempfile::tempdir()?;
        let deb = package(&packages()?, &format!("{name}_"), ".deb")?;
        output(Command::new("dpkg-deb").arg("--extract").arg(deb).arg(unpacked.path()))?;
        let page = unpacked.path().join(format!("usr/share/man/man8/{name}.8.gz"));
        let mut manual = Command::new("man");
        let manual =
            manual.args(["--warnings", "--local-file"]).arg(page).env("MANWIDTH", "80").env("LC_ALL", "C.UTF-8").output()?;
        let warnings = String::from_utf8(manual.stderr)?;
        ensure!(manual.status.success() && warnings.is_empty(), "{warnings}");
        let manual = String::from_utf8(manual.stdout)?;
        let help = output(Command::new(unpacked.path().join("usr/bin").join(name)).arg("--help"))?;
        let commands = help.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).context(help.clone())?;
        let commands: Vec<_> =
            commands.lines().filter_map(|line| line.split_whitespace().next()).filter(|word| *word != "help").collect();
        ensure!(commands.len() >= 3, "{commands:?}");
        for command in commands {
            ensure!(manual.contains(&format!("\n     {command}")), "{name}(8) does not know {command}:\n{manual}");
        }
    }
    Ok(())
}

/// The version of a package is the programs' own.
#[test]
fn packages_are_of_this_version() -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    for name in ["osm-agent", "osm-api"] {
        let deb = package(&packages()?, &format!("{name}_"), ".deb")?;
        assert_eq!(output(Command::new("dpkg-deb").arg("--field").arg(deb).arg("Version"))?, format!("{version}-1\n"));
    }
    let changelog = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../debian/changelog"))?;
    assert!(changelog.starts_with(&format!("osm ({version}-1) ")), "{changelog}");
    Ok(())
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}: run `make deps-packages deps-lint`"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    Ok(text)
}
