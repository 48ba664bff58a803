//! What can be said of the packages without installing them.

use std::{collections::BTreeSet, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use crate::{
    repository::scripts,
    site::{package, packages},
};

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
fn both_families_carry_the_same_files_with_the_same_modes() -> Result<()> {
    for name in ["osm-agent", "osm-api"] {
        let deb = output(Command::new("dpkg-deb").arg("--contents").arg(package(&packages()?, &format!("{name}_"), ".deb")?))?;
        let query = ["--query", "--queryformat", "[%{FILEMODES:perms} %{FILENAMES}\\n]", "--package"];
        let rpm = output(Command::new("rpm").args(query).arg(package(&packages()?, &format!("{name}-"), ".rpm")?))?;
        let of_deb = deb.lines().filter_map(|line| Some((line.split(' ').next()?, line.split(" ./").nth(1)?)));
        let of_rpm = rpm.lines().filter_map(|line| line.split_once(" /"));
        // Each family has its own place for papers and for zsh's completions.
        let own = ["/doc/", "/licenses/", "/zsh/", "system-preset", "/lintian/"];
        let compared = |files: &mut dyn Iterator<Item = (&str, &str)>| -> BTreeSet<String> {
            files
                .filter(|(mode, path)| !mode.starts_with('d') && !own.iter().any(|part| path.contains(part)))
                .map(|(mode, path)| format!("{mode} {path}"))
                .collect()
        };
        let (of_deb, of_rpm) = (compared(&mut of_deb.into_iter()), compared(&mut of_rpm.into_iter()));
        assert_eq!(of_deb, of_rpm);
        assert!(of_deb.contains(&format!("-rwxr-xr-x usr/bin/{name}")), "{of_deb:?}");
    }
    Ok(())
}

/// One folder serves several: a build replaces only what it has built.
#[test]
fn packages_for_another_architecture_stay() -> Result<()> {
    let out = tempfile::tempdir()?;
    let foreign = ["osm-agent_0.0.1-1_arm64.deb", "osm-api_0.0.1-1_arm64.deb", "osm-agent-0.0.1-1.aarch64.rpm"];
    for file in foreign.iter().chain(&["osm-agent_0.0.1-1_amd64.deb", "osm-api-0.0.1-1.x86_64.rpm"]) {
        std::fs::write(out.path().join(file), "an older one")?;
    }
    let (built, version) = (packages()?, env!("CARGO_PKG_VERSION"));
    let target = built.parent().context("the target folder")?;
    let path = format!("{}:{}", target.join("tools/bin").display(), std::env::var("PATH")?);
    for script in ["debian/build", "rpm/build"] {
        let mut build = Command::new(scripts().join(script));
        build.current_dir(scripts()).arg(out.path()).arg("x86_64-unknown-linux-gnu");
        output(build.env("PATH", &path).env("CARGO_TARGET_DIR", target))?;
    }
    let mut files: Vec<_> = std::fs::read_dir(out.path())?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    let mut expected = foreign.map(str::to_owned).to_vec();
    for name in ["osm-agent", "osm-api"] {
        expected.extend([format!("{name}_{version}-1_amd64.deb"), format!("{name}-{version}-1.x86_64.rpm")]);
    }
    files.sort();
    expected.sort();
    assert_eq!(files, expected);
    Ok(())
}

/// The scripts change folders on their way.
#[test]
fn a_key_made_in_a_folder_by_its_relative_name_is_found_from_anywhere() -> Result<()> {
    let work = tempfile::tempdir()?;
    let list = ["key", "sh", "-c", "cd / && gpg --batch --with-colons --list-secret-keys \"$OSM_SIGNING_KEY\""];
    let mut with_key = Command::new(scripts().join("debian/with-key"));
    with_key.args(list).current_dir(work.path()).env_remove("OSM_SIGNING_KEY").env_remove("GNUPGHOME");
    let said = output(&mut with_key)?;
    ensure!(said.contains("packages@osm.example.com"), "{said}");
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
