"""Every error llar raises, in one tree.

LlarError
├── ConfigError            a setting is unknown or has a value that cannot be used
├── ModelError
│   ├── UnknownModel       no catalogue entry, file or folder of that name
│   ├── ModelNotInstalled  known, but not in the store; the fix pulls it
│   ├── ModelCorrupt       a file in the store is not what its record says, or is no model
│   ├── PullError          a download or import did not complete; the store is unchanged
│   ├── ContextTooLong     prompt and answer do not fit the model's context; nothing was cut
│   └── EngineError        the local engine failed while loading or generating
│       └── Refused        it will not do what the request asks; nothing is wrong with it
├── RemoteError            a server we called failed or refused; says what *it* answered
├── DocumentError          one file could not be read; the others go on
│   ├── UnsupportedFormat
│   ├── LockedDocument     needs a password
│   └── LimitExceeded      a parser went past its memory, time or size limit
├── CollectionError
│   ├── UnknownCollection
│   ├── CollectionBusy     another process held the write lock for too long
│   ├── EmbedderMismatch   opened with another embedder than it was built with
│   └── SchemaMismatch     written by another version of llar
├── BundleError            a bundle or exported collection is damaged, or in the way of what is here
├── QueryError             a filter, mode or option of a search that cannot be understood
├── EvaluationError        questions, judgements or scores that cannot be measured with
├── PlanError              numbers, formats, machines or prices that nothing can be planned with
├── InsideError            numbers, texts or options that nothing can be shown of
├── PictureError           a picture that cannot be drawn or written
└── ServeError             the server cannot start or cannot do what was asked of it
    ├── StateUnusable      a file of its own state is damaged, locked, or its disk full
    ├── NotSignedIn        no valid session or key came with the request
    ├── Forbidden          the role or the access granted does not allow it
    ├── NotThere           no document, conversation, job, user ... of that id
    ├── Conflict           it exists already, or changed meanwhile
    ├── TooLarge           more was sent than the server takes
    ├── BadRequest         a request that cannot be understood or granted; `param` names the field
    └── Overloaded         the queue is full; try again after `retry_after` seconds
"""

from __future__ import annotations


class LlarError(Exception):
    """What was wrong and what was expected, with the command that fixes it in `fix`."""

    def __init__(self, message: str, *, fix: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message}\nfix: {self.fix}" if self.fix else self.message


class ConfigError(LlarError):
    """A setting is unknown or has a value that cannot be used."""


class ModelError(LlarError):
    """Anything wrong with a model or its files."""


class UnknownModel(ModelError):
    """No catalogue entry, file or folder of that name."""


class ModelNotInstalled(ModelError):
    """The model is known but not in the store; `fix` is the command that pulls it."""


class ModelCorrupt(ModelError):
    """A file is not what its record says it is, or is no model at all."""


class PullError(ModelError):
    """A download or import did not complete; the store is as it was before."""


class ContextTooLong(ModelError):
    """Prompt and requested answer do not fit the model's context; nothing was cut."""


class EngineError(ModelError):
    """The local engine failed while loading or generating."""


class Refused(EngineError):
    """The engine will not do what this request asks: a bad schema, an image without eyes ..."""


class RemoteError(LlarError):
    """A server we called failed or refused. `status` is its HTTP status, None without one."""

    def __init__(self, message: str, *, status: int | None = None, fix: str | None = None) -> None:
        super().__init__(message, fix=fix)
        self.status = status


class DocumentError(LlarError):
    """One file could not be read; says why in one line."""


class UnsupportedFormat(DocumentError):
    """The file's content is of no kind llar reads."""


class LockedDocument(DocumentError):
    """The file needs a password."""


class LimitExceeded(DocumentError):
    """Reading the file went past a memory, time or size limit."""


class CollectionError(LlarError):
    """Anything wrong with a collection on disk."""


class UnknownCollection(CollectionError):
    """There is no collection of that name."""


class CollectionBusy(CollectionError):
    """Another process held the collection's write lock for too long."""


class EmbedderMismatch(CollectionError):
    """The collection was built with another embedder than the one it is opened with."""


class SchemaMismatch(CollectionError):
    """The collection was written by another version of llar."""


class BundleError(LlarError):
    """A bundle or exported collection is damaged, or in the way of what is here."""


class QueryError(LlarError):
    """A filter, mode or option of a search that cannot be understood."""


class EvaluationError(LlarError):
    """Questions, judgements or scores that nothing can be measured with."""


class PlanError(LlarError):
    """Numbers, formats, machines or prices that nothing can be planned with."""


class InsideError(LlarError):
    """Numbers, texts or options that nothing can be shown of."""


class PictureError(LlarError):
    """A picture cannot be drawn, or not written where it was asked for."""


class ServeError(LlarError):
    """The server cannot start, or cannot do what was asked of it."""


class StateUnusable(ServeError):
    """A file of the server's own state cannot be read or written: damaged, locked, disk full."""


class NotSignedIn(ServeError):
    """No valid session or key came with the request."""


class Forbidden(ServeError):
    """The role, or the access that was granted, does not allow it."""


class NotThere(ServeError):
    """There is no document, conversation, job, user or key of that id."""


class Conflict(ServeError):
    """It exists already, or somebody changed it meanwhile."""


class TooLarge(ServeError):
    """More was sent than the server takes."""


class BadRequest(ServeError):
    """A request cannot be understood or granted. `param` names its field, `code` the kind."""

    def __init__(
        self, message: str, *, param: str | None = None, code: str | None = None,
        fix: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message, fix=fix)
        self.param = param
        self.code = code


class Overloaded(ServeError):
    """Too many requests wait already. `retry_after` is in seconds."""

    def __init__(self, message: str, *, retry_after: int = 1, fix: str | None = None) -> None:
        super().__init__(message, fix=fix)
        self.retry_after = retry_after
