"""Azure Storage's errors as the vendor's client library raises them, from one table."""

from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)

#: error code -> exception of the client library, HTTP status, message
TABLE: dict[str, tuple[type[HttpResponseError], int, str]] = {
    "AuthenticationFailed": (ClientAuthenticationError, 403, "Server failed to authenticate the request."),
    "ResourceNotFound": (ResourceNotFoundError, 404, "The specified resource does not exist."),
    "ContainerNotFound": (ResourceNotFoundError, 404, "The specified container does not exist."),
    "BlobNotFound": (ResourceNotFoundError, 404, "The specified blob does not exist."),
    "QueueNotFound": (ResourceNotFoundError, 404, "The specified queue does not exist."),
    "MessageNotFound": (ResourceNotFoundError, 404, "The specified message does not exist."),
    "CannotVerifyCopySource": (ResourceNotFoundError, 404, "The specified resource does not exist."),
    "ContainerAlreadyExists": (ResourceExistsError, 409, "The specified container already exists."),
    "BlobAlreadyExists": (ResourceExistsError, 409, "The specified blob already exists."),
    "LeaseAlreadyPresent": (ResourceExistsError, 409, "There is already a lease present."),
    "LeaseIdMismatchWithLeaseOperation": (
        ResourceExistsError,
        409,
        "The lease ID specified did not match the lease ID for the blob.",
    ),
    "SnapshotsPresent": (ResourceExistsError, 409, "This operation is not permitted because the blob has snapshots."),
    "InvalidBlobType": (ResourceExistsError, 409, "The blob type is invalid for this operation."),
    "ConditionNotMet": (
        ResourceModifiedError,
        412,
        "The condition specified using HTTP conditional header(s) is not met.",
    ),
    "SequenceNumberConditionNotMet": (HttpResponseError, 412, "The sequence number condition specified was not met."),
    "LeaseIdMissing": (
        HttpResponseError,
        412,
        "There is currently a lease on the blob and no lease ID was specified in the request.",
    ),
    "LeaseIdMismatchWithBlobOperation": (
        HttpResponseError,
        412,
        "The lease ID specified did not match the lease ID for the blob.",
    ),
    "LeaseNotPresentWithBlobOperation": (HttpResponseError, 412, "There is currently no lease on the blob."),
    "InvalidRange": (HttpResponseError, 416, "The range specified is invalid for the current size of the resource."),
    "InvalidPageRange": (HttpResponseError, 416, "The page range specified is invalid."),
    "InvalidHeaderValue": (HttpResponseError, 400, "The value for one of the HTTP headers is not in the correct format."),
    "InvalidResourceName": (HttpResponseError, 400, "The specified resource name contains invalid characters."),
    "OutOfRangeQueryParameterValue": (
        HttpResponseError,
        400,
        "One of the query parameters specified in the request URI is outside the permissible range.",
    ),
    "PopReceiptMismatch": (
        HttpResponseError,
        400,
        "The specified pop receipt did not match the pop receipt for a dequeued message.",
    ),
    "RequestBodyTooLarge": (HttpResponseError, 413, "The request body is too large and exceeds the maximum permissible limit."),
}


def storage_error(code: str) -> HttpResponseError:
    """The exception for an error code of the table, with `error_code` and `status_code` set as the client library does."""
    kind, status, message = TABLE[code]
    error = kind(message=f"{message}\nErrorCode:{code}")
    error.status_code = status
    error.error_code = code  # the storage libraries put it there
    return error
