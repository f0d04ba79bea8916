"""The state of the emulated resource in SQLite, in memory or in a folder that keeps it.

Ids are keys of :mod:`._ids`, which sort as SQL Server sorts GUIDs. Dates are ticks of 100 ns. Rows
with the empty iteration id form the working set of a project. Training copies them under the id of
the new iteration.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ._ids import Clock, IdSource

__all__ = ["WORKSPACE", "State"]

WORKSPACE = b""
"""The iteration id of the working set, which is not trained yet."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS projects (
    id BLOB PRIMARY KEY, name TEXT, description TEXT, domain TEXT, classification TEXT, platforms
    TEXT, options TEXT,
    created INTEGER, modified INTEGER, ready INTEGER, thumbnail BLOB, workspace BLOB,
    workspace_since INTEGER,
    trained INTEGER DEFAULT 0);
CREATE TABLE IF NOT EXISTS tags (
    id BLOB PRIMARY KEY, project BLOB, name TEXT, description TEXT, type TEXT);
CREATE INDEX IF NOT EXISTS tags_of ON tags (project, id);
CREATE TABLE IF NOT EXISTS contents (digest BLOB PRIMARY KEY, data BLOB);
CREATE TABLE IF NOT EXISTS images (
    id BLOB PRIMARY KEY, project BLOB, created INTEGER, width INTEGER, height INTEGER, digest BLOB,
    metadata TEXT,
    present INTEGER DEFAULT 1, tagged INTEGER DEFAULT 0);
CREATE INDEX IF NOT EXISTS images_by_date ON images (project, present, tagged, created, id);
CREATE INDEX IF NOT EXISTS images_by_content ON images (digest, project, present);
CREATE TABLE IF NOT EXISTS image_tags (
    iteration BLOB, image BLOB, tag BLOB, created INTEGER, PRIMARY KEY (image, iteration, tag))
    WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS images_of_tag ON image_tags (tag, iteration, image);
CREATE TABLE IF NOT EXISTS regions (
    iteration BLOB, id BLOB, image BLOB, tag BLOB, created INTEGER, left REAL, top REAL, width REAL,
    height REAL,
    PRIMARY KEY (iteration, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS regions_of ON regions (image, iteration, id);
CREATE TRIGGER IF NOT EXISTS tag_added AFTER INSERT ON image_tags WHEN NEW.iteration = X'' BEGIN
    UPDATE images SET tagged = 1 WHERE id = NEW.image AND tagged = 0; END;
CREATE TRIGGER IF NOT EXISTS tag_taken AFTER DELETE ON image_tags WHEN OLD.iteration = X'' BEGIN
    UPDATE images SET tagged = 0 WHERE id = OLD.image
        AND NOT EXISTS (SELECT 1 FROM image_tags WHERE iteration = X'' AND image = OLD.image); END;
CREATE TABLE IF NOT EXISTS iterations (
    id BLOB PRIMARY KEY, project BLOB, name TEXT, created INTEGER, modified INTEGER, trained
    INTEGER, ready INTEGER,
    domain TEXT, classification TEXT, training_type TEXT, budget INTEGER, publish_name TEXT,
    publish_resource TEXT,
    is_default INTEGER DEFAULT 0, base TEXT, tags TEXT, fingerprint BLOB);
CREATE INDEX IF NOT EXISTS iterations_of ON iterations (project, created);
CREATE TABLE IF NOT EXISTS iteration_images (iteration BLOB, image BLOB, PRIMARY KEY (image,
    iteration)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS exports (
    iteration BLOB, platform TEXT, flavor TEXT, ready INTEGER, id BLOB,
    PRIMARY KEY (iteration, platform, flavor)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS predictions (
    id BLOB PRIMARY KEY, project BLOB, iteration BLOB, created INTEGER, digest BLOB, width INTEGER,
    height INTEGER, domain TEXT,
    application TEXT, results TEXT);
CREATE INDEX IF NOT EXISTS predictions_of ON predictions (project, created, id);
CREATE INDEX IF NOT EXISTS predictions_by_content ON predictions (digest);
"""

_VERSION = 2
"""The layout of the tables. Raise it with any change that an older emulator could not read."""


def _connect(folder: Path | None) -> sqlite3.Connection:
    target = ":memory:"
    if folder is not None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = str(folder / "emulator.sqlite3")
    return sqlite3.connect(
        target, timeout=1.0, isolation_level=None, cached_statements=512, check_same_thread=False
    )


def _state_error(folder: Path | None, error: Exception) -> OSError:
    """Return the error to raise for a folder that cannot be used.

    It has the type of the system's error, such as PermissionError.
    """
    reason = (
        "it is a file"
        if isinstance(error, FileExistsError)
        else getattr(error, "strerror", None) or str(error)
    )
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        reason = "another emulator uses it, or another program has the database open"
    number = getattr(error, "errno", None)
    text = f"the emulator cannot keep its state in {folder}: {reason}"
    return OSError(number, text) if number else OSError(text)


class State:
    """The database, the source of ids and the clock of one emulated resource."""

    def __init__(self, folder: Path | None, seed: str | None) -> None:
        try:
            self.db: sqlite3.Connection = _connect(folder)
        except (OSError, sqlite3.Error) as error:
            raise _state_error(folder, error) from error
        self.db.row_factory = sqlite3.Row
        try:
            starts = self._open()
        except (OSError, sqlite3.Error) as error:
            self.db.close()
            raise _state_error(folder, error) from error
        self.secret: bytes = self._meta("secret", secrets.token_hex(32)).encode()
        self.ids: IdSource = IdSource(None if seed is None else f"{seed}/{starts}")
        self.clock: Clock = Clock()

    def _open(self) -> int:
        """Prepare the database, and return how often it has been opened, including this time."""
        # Two emulators on one folder would overwrite each other's state.
        self.db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = NORMAL")
        self._check_version()
        self.db.executescript(_SCHEMA)
        self.db.execute(f"PRAGMA user_version = {_VERSION}")
        starts = int(self._meta("starts", "0")) + 1
        self.db.execute("UPDATE meta SET value = ? WHERE name = 'starts'", (str(starts),))
        return starts

    def _check_version(self) -> None:
        """Upgrade the database of an older emulator.

        Raises:
            OSError: A newer emulator wrote the database, or another program did.
        """
        version = self.scalar("PRAGMA user_version")
        if version > _VERSION:
            raise OSError(
                f"a newer customvision_async wrote it (layout {version}, this version reads up to "
                f"{_VERSION}): upgrade, or use another folder"
            )
        tables = {
            row[0] for row in self.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
        if tables and "meta" not in tables:
            raise OSError("its database was not written by an emulator: use another folder")
        if "pictures" in tables:  # the name in layout 1
            self.db.execute("ALTER TABLE pictures RENAME TO contents")

    def _meta(self, name: str, default: str) -> str:
        self.db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (name, default))
        return str(self.db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()[0])

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run the block in a transaction. An exception rolls it back."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield self.db
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def row(self, sql: str, *values: Any) -> Any:
        """Return the first row of a query, or None."""
        return self.db.execute(sql, values).fetchone()

    def rows(self, sql: str, *values: Any) -> list[Any]:
        """Return all rows of a query."""
        return self.db.execute(sql, values).fetchall()

    def scalar(self, sql: str, *values: Any) -> Any:
        """Return the first column of the first row of a query, or None."""
        row = self.db.execute(sql, values).fetchone()
        return None if row is None else row[0]

    def close(self) -> None:
        """Close the database."""
        self.db.close()
