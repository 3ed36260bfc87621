package s3

import (
	"errors"
	"fmt"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/odradek/odradek/objectstore"
)

// status is the HTTP status of an answer that was an error, 0 when there was no answer.
func status(err error) int {
	var response *awshttp.ResponseError
	if errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}

// code is the error code of the answer's body, empty when there was none.
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// outward names call and key, and turns the absence of the object, not that of the bucket, into ErrNotFound.
func outward(call, key string, err error) error {
	if err == nil {
		return nil
	}
	if code(err) == "NoSuchKey" {
		err = objectstore.ErrNotFound
	}
	return fmt.Errorf("%s %s: %w", call, key, err)
}
