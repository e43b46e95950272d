"""Errors a request or a job can end in; each code stands once in the service's table of problems."""

from __future__ import annotations

from models.errors import CityzonesError


class InvalidRequest(CityzonesError):
    """The body is JSON but does not describe a job; every fault is pointed at."""

    code = "invalid-request"


class InvalidArea(CityzonesError):
    """The area of interest cannot be mapped as drawn."""

    code = "invalid-area"


class EmptyArea(InvalidArea):
    """The area of interest encloses nothing."""

    code = "empty-area"


class AntimeridianArea(InvalidArea):
    """The area of interest crosses the antimeridian."""

    code = "antimeridian"


class AreaOutOfLimits(InvalidArea):
    """The area of interest is smaller or larger than the model accepts."""

    code = "area-out-of-limits"


class NoImagery(CityzonesError):
    """No imagery covers the area of interest under the conditions asked for."""

    code = "no-imagery"


class ImageryUnavailable(CityzonesError):
    """The catalogue or the image host did not answer in time, after retries."""

    code = "imagery-unavailable"


class TooLittleCoverage(CityzonesError):
    """Less of the area could be mapped than the client asks for."""

    code = "too-little-coverage"


class BadImage(CityzonesError):
    """An uploaded image cannot be used, and why."""

    code = "bad-image"


class WrongBands(BadImage):
    """An uploaded image lacks bands the model needs."""

    code = "wrong-bands"


class UnsupportedFormat(CityzonesError):
    """An uploaded file is none of the formats accepted, judged by its content."""

    code = "unsupported-format"


class BadVector(CityzonesError):
    """Uploaded parcels, buildings or streets cannot be used, and why."""

    code = "bad-vector"


class MissingCrs(CityzonesError):
    """An uploaded file does not say which coordinate reference system it is in."""

    code = "missing-crs"


class ParcelsOutsideArea(CityzonesError):
    """No parcel touches the area of interest."""

    code = "parcels-outside-area"


class UploadTooLarge(CityzonesError):
    """An uploaded file is over a limit."""

    code = "upload-too-large"


class UnknownUpload(CityzonesError):
    """No upload of that id exists."""

    code = "unknown-upload"


class UploadNotComplete(UnknownUpload):
    """An upload was announced, but its bytes have not all come or have not been judged yet."""

    code = "upload-not-complete"


class UploadQuotaExceeded(CityzonesError):
    """An upload does not fit beside what its owner keeps already."""

    code = "upload-quota-exceeded"


class ChecksumMismatch(CityzonesError):
    """Bytes do not have the checksum that came with them."""

    code = "checksum-mismatch"


class PieceMismatch(CityzonesError):
    """A piece of an upload does not have the checksum that came with it."""

    code = "piece-mismatch"


class SizeMismatch(CityzonesError):
    """More or fewer bytes came than were announced."""

    code = "size-mismatch"


class OffsetConflict(CityzonesError):
    """A part of an upload does not begin where the parts that are there end."""

    code = "offset-conflict"


class TooManyParts(CityzonesError):
    """An upload came in more pieces than are kept."""

    code = "too-many-parts"


class ScratchFull(CityzonesError):
    """The disk that holds files while they are looked at is full."""

    code = "scratch-full"


class UnknownJob(CityzonesError):
    """No job of that id exists."""

    code = "unknown-job"


class UnknownProcess(CityzonesError):
    """No process of that id exists."""

    code = "unknown-process"


class ResultNotReady(CityzonesError):
    """The job has not finished."""

    code = "result-not-ready"


class InvalidIdempotencyKey(CityzonesError):
    """The Idempotency-Key header holds what cannot be one."""

    code = "invalid-idempotency-key"


class IdempotencyKeyReused(CityzonesError):
    """The Idempotency-Key came before, with another request."""

    code = "idempotency-key-reused"


class RequestInFlight(CityzonesError):
    """An equal request with the same Idempotency-Key is being answered."""

    code = "request-in-flight"


class TooManyStreams(CityzonesError):
    """No further stream of events is to be had here."""

    code = "too-many-streams"


class ResultsDeleted(CityzonesError):
    """The job's data were deleted on the day that was told when it ended."""

    code = "results-deleted"


class CallbackRefused(CityzonesError):
    """A callback may not go where its URI leads, and why."""

    code = "callback-refused"


class CallbacksNotConfigured(CityzonesError):
    """A request names a subscriber, but the service has no secret to sign callbacks with."""

    code = "callbacks-not-configured"


class JobFailed(CityzonesError):
    """The job ended without a map; the detail is the job's own message."""

    code = "job-failed"


class JobDismissed(CityzonesError):
    """The job was dismissed; it has no results."""

    code = "job-dismissed"


class WrongTransition(CityzonesError):
    """A job was asked to move between states that are not joined."""

    code = "wrong-transition"


class InferenceUnavailable(CityzonesError):
    """The model server did not answer, after retries."""

    code = "inference-unavailable"


class QueueUnavailable(CityzonesError):
    """The queue cannot be reached; the job is kept and will start once it can."""

    code = "queue-unavailable"


class StorageUnavailable(CityzonesError):
    """The object storage did not answer, after retries."""

    code = "storage-unavailable"


class MapUnreadable(CityzonesError):
    """A finished map cannot be read: its file is damaged, or not the one the job wrote."""

    code = "map-unreadable"


class LinkExpired(CityzonesError):
    """A signed link is past its expiry or was tampered with."""

    code = "link-refused"


class Unauthorized(CityzonesError):
    """The request carries no key, or none that opens anything."""

    code = "unauthorized"


class Forbidden(CityzonesError):
    """The key is good, but not for this."""

    code = "forbidden"


class OpenModeRefused(CityzonesError):
    """The service asks for no key, and so answers this machine alone."""

    code = "open-mode-refused"


class UnknownKey(CityzonesError):
    """No key of that id exists."""

    code = "unknown-key"


class TooManyKeys(CityzonesError):
    """A tenant has as many keys as it may."""

    code = "too-many-keys"


class KeysNotUsed(CityzonesError):
    """Keys are to be made where the service asks for none."""

    code = "keys-not-used"


class TryLater(CityzonesError):
    """More was asked than may be for now; `retry_after` is how many seconds to wait."""

    code = "too-many-requests"

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class TooManyRequests(TryLater):
    """More requests came than may in a minute."""

    code = "too-many-requests"


class QueueFull(TryLater):
    """So many jobs wait already that one more could not begin for long."""

    code = "queue-full"


class TooManyJobs(TryLater):
    """A tenant has as many jobs without an end as it may."""

    code = "too-many-jobs"


class AreaQuotaExceeded(TryLater):
    """A tenant has mapped as many square kilometres this month as it may."""

    code = "area-quota-exceeded"


class AnnotationConflict(CityzonesError):
    """Somebody else changed the same masks or cluster since the client last looked."""

    code = "annotation-conflict"


class InvalidEdit(CityzonesError):
    """An edit of an annotation project names masks, clusters, classes or versions that it does not have."""

    code = "invalid-edit"


class UnknownProject(CityzonesError):
    """A job has no annotation project."""

    code = "no-annotation-project"
