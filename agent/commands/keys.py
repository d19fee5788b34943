"""`normline keys`: who may connect to a station."""

from __future__ import annotations

import os
from pathlib import Path

import click

from agent.errors import InputError
from agent.keys import KeyFolder, Role

DEFAULT_FOLDER = Path("/etc/normline/keys")
folder_option = click.option(
    "--keys",
    "folder",
    type=click.Path(path_type=Path),
    default=DEFAULT_FOLDER,
    show_default=True,
    help="The station's folder of keys, as in its station file.",
)


@click.group(short_help="who may connect to a station: create, list, revoke")
def keys() -> None:
    """Make, list and revoke the keys of those who may connect to a station.

    A station whose file names a folder of keys admits only who is listed there, encrypts
    everything, and may be bound to an address that other machines reach. Secrets are written to
    files that only their owner can read (0600) and are never shown.

    \b
    Example:
      normline keys create mes --role read --out mes.key
      normline keys list
      normline keys revoke mes
    """


@keys.command(short_help="make a key and admit who has it")
@click.argument("name", required=False)
@click.option(
    "--role",
    "roles",
    type=click.Choice([role.value for role in Role]),
    multiple=True,
    help="read: verdicts and replay; trigger: trigger parts; control: start, stop, select. "
    "May be given more than once.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="File for the key  [default: NAME.key]"
)
@folder_option
def create(name: str | None, roles: tuple[str, ...], out: Path | None, folder: Path) -> None:
    """Make a key for the client NAME; without a name, only the station's own key.

    The folder and the station's own key are made when they are missing. The file goes to the
    client, over a way that nobody else reads, and is deleted here: the station keeps only the
    public half of it. A running station admits the new client at once; its own key it reads when
    it starts.

    \b
    Example:
      normline keys create gateway --role read --role trigger --role control
      normline watch tcp://192.168.0.7:5556 --key gateway.key
    """
    if name is None and (roles or out):
        raise InputError("a client needs a name: normline keys create NAME --role ROLE")
    if name is not None and not roles:
        raise InputError(f"what may {name} do? give --role read, trigger or control")
    keyring = KeyFolder(folder)
    if keyring.make():
        click.echo(
            f"made the station's key in {folder}; a station that runs takes it at its next start: "
            "systemctl restart normline"
        )
    elif name is None:
        click.echo(f"the station's key is in {folder} already")
    if name is not None:
        file = out or Path(f"{name}.key")
        keyring.admit(name, frozenset(map(Role, roles)), file)
        click.echo(f"{name} is admitted ({', '.join(roles)}); its key is in {file}")
        if (user := os.environ.get("SUDO_USER")) is not None:
            click.echo(f"only root can read it: sudo chown {user}: {file}, or whoever is to use it")


@keys.command("list", short_help="show who is admitted")
@click.option("--json", "as_json", is_flag=True, help="The list as it is stored.")
@folder_option
def list_(as_json: bool, folder: Path) -> None:
    """Show who is admitted: name, roles, public key, since when.

    \b
    Example:
      normline keys list --keys /etc/normline/keys
    """
    listed = KeyFolder(folder).clients()
    if as_json:
        click.echo(listed.model_dump_json(by_alias=True))
        return
    for client in listed.clients:
        roles = ",".join(sorted(role.value for role in client.roles))
        click.echo(f"{client.name:<20}  {roles:<20}  {client.key}  {client.created_at}")
    if not listed.clients:
        click.echo("nobody is admitted")


@keys.command(short_help="admit a client no more, and end its connections")
@click.argument("name")
@folder_option
def revoke(name: str, folder: Path) -> None:
    """Take NAME off the list. A running station ends its connections within a second.

    All other clients are cut off for that moment too; they connect again by themselves, and
    subscribers replay what they missed.

    \b
    Example:
      normline keys revoke gateway
    """
    KeyFolder(folder).revoke(name)
    click.echo(f"{name} is revoked")
