"""Where a study is kept: a file, or a database or proxy that several machines reach."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from eecompile.search.study.optuna_needed import import_optuna
from passes.errors import InputError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

SQLITE, JOURNAL, GRPC = "sqlite:///", "journal:", "grpc://"
# How long a database may take to answer, and a file to be free of other writers.
_ANSWER_SECONDS, _BUSY_SECONDS = 10, 120
# How long a database that has answered may leave what it is sent without any sign that it got it.
_SILENT_SECONDS = 60
_HELP = (
    "`storage` is sqlite:///FILE, journal:FILE, grpc://HOST:PORT of a proxy, or the URL of a database "
    "(postgresql+psycopg://USER@HOST/NAME)"
)


def open_storage(url: str) -> BaseStorage:
    """Return the storage at a URL.

    Raises:
        InputError: No such kind of storage, a driver that is not installed, or nothing answers there.
    """
    optuna = import_optuna()
    with told_if_silent(url):
        if url.startswith(JOURNAL):
            backend = optuna.storages.journal.JournalFileBackend(url.removeprefix(JOURNAL))
            return _storage(optuna.storages.JournalStorage(backend))
        if url.startswith(GRPC):
            return _proxy(optuna, url)
        import sqlalchemy

        arguments: dict[str, Any] = {}
        if url.startswith(SQLITE):
            arguments = {"timeout": _BUSY_SECONDS}
        elif url.startswith("postgresql"):
            arguments = {"connect_timeout": _ANSWER_SECONDS, "tcp_user_timeout": 1000 * _SILENT_SECONDS}
        try:
            engine = {"connect_args": arguments, "pool_pre_ping": not url.startswith(SQLITE)}
            database = optuna.storages.RDBStorage(url, engine_kwargs=engine)
            if url.startswith(SQLITE):
                _write_one_by_one(database.engine)
            return _storage(optuna.storages.get_storage(database))
        except (sqlalchemy.exc.ArgumentError, sqlalchemy.exc.NoSuchModuleError):
            raise InputError(f"'{url}' is no storage of a study", _HELP) from None
        except ImportError as error:
            raise InputError(f"the storage {_hidden(url)} needs a driver: {error}", "install it") from None
        except RuntimeError as error:  # its tables are not those of this Optuna
            if "version" not in str(error):
                raise
            raise InputError(
                f"the storage {_hidden(url)} was made with another version of Optuna: {error}",
                "go on with that version, or upgrade the storage (`optuna storage upgrade`)",
            ) from None


def _write_one_by_one(engine: Any) -> None:
    """Let a transaction of SQLite be one from its first statement on, as Optuna takes it to be.

    Its driver begins one before the first that writes, so that two workers read that a candidate waits, and
    both take it (SQLAlchemy's page on SQLite, "Serializable isolation / Savepoints / Transactional DDL").
    """
    from sqlalchemy import event

    @event.listens_for(engine, "connect")
    def manual(connection: Any, _record: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    engine.dispose()  # connections that were opened before


def _proxy(optuna: Any, url: str) -> BaseStorage:
    host, _, port = url.removeprefix(GRPC).rstrip("/").rpartition(":")
    if not host or not port.isdigit():
        raise InputError(f"'{url}' names no host and port", _HELP)
    try:
        import grpc
    except ImportError:
        raise InputError("a proxy needs gRPC, which is not installed", "pip install grpcio") from None
    channel = grpc.insecure_channel(f"{host}:{port}")
    try:
        grpc.channel_ready_future(channel).result(timeout=_ANSWER_SECONDS)
    except grpc.FutureTimeoutError:
        raise InputError(
            f"nothing answers at {url}",
            "start the proxy (`optuna.storages.run_grpc_proxy_server`), or name another `storage`",
        ) from None
    finally:
        channel.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return _storage(optuna.storages.GrpcStorageProxy(host=host, port=int(port)))


@contextmanager
def told_if_silent(url: str) -> Iterator[None]:
    """Turn what a storage raises that does not answer, or is none, into one message."""
    optuna = import_optuna()
    import sqlalchemy

    try:
        yield
    except optuna.exceptions.StorageInternalError as error:
        raise _silent(url, error.__cause__ or error) from None
    except sqlalchemy.exc.DatabaseError as error:
        raise _silent(url, error) from None
    except OSError as error:
        raise InputError(
            f"the storage {_hidden(url)} cannot be opened: {error.strerror or error}",
            "name another `storage`",
        ) from None
    except Exception as error:
        if not url.startswith(GRPC) or not _of_grpc(error):
            raise
        raise _silent(url, error) from None


def _of_grpc(error: Exception) -> bool:
    """Return whether a proxy raised an error: itself, or what is behind it."""
    import grpc

    return isinstance(error, grpc.RpcError)


def _silent(url: str, error: BaseException) -> InputError:
    """Return what a person is told of a storage that did not do what it was asked."""
    told = getattr(error, "orig", None) or getattr(error, "details", lambda: error)()
    reason = " ".join(str(told).split())
    if "readonly" in reason or "read-only" in reason:
        return InputError(
            f"the storage {_hidden(url)} may only be read: {reason}",
            "take one that you may write to, or copy the study's file to where you may",
        )
    return InputError(
        f"the storage {_hidden(url)} does not answer: {reason}",
        "look whether it runs and may be reached from here; nothing that was found out is lost",
    )


def _hidden(url: str) -> str:
    """Return a URL without its password."""
    scheme, mark, rest = url.partition("://")
    user, at, host = rest.rpartition("@")
    name = user.partition(":")[0]
    return f"{scheme}{mark}{name}{at}{host}"


def _storage(storage: Any) -> BaseStorage:
    found: BaseStorage = storage
    return found
