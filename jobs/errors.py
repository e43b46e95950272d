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


class UnknownJob(CityzonesError):
    """No job of that id exists."""

    code = "unknown-job"


class UnknownProcess(CityzonesError):
    """No process of that id exists."""

    code = "unknown-process"


class ResultNotReady(CityzonesError):
    """The job has not finished."""

    code = "result-not-ready"


class ResultsDeleted(CityzonesError):
    """The job's data were deleted on the day that was told when it ended."""

    code = "results-deleted"


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


class LinkExpired(CityzonesError):
    """A signed link is past its expiry or was tampered with."""

    code = "link-refused"
