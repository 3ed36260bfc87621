package s3

import (
	"context"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/odradek/odradek/objectstore"
)

// Date implements objectstore.Dated: what the newest answer said.
func (s *Store) Date(ctx context.Context) (time.Time, error) { return s.dates.Date(ctx) }

// TellsAttempts implements objectstore.Attempting.
func (s *Store) TellsAttempts() bool { return true }

// dating passes requests on, counts them, and takes note of the time in their answers.
type dating struct {
	aws.HTTPClient
	dates *objectstore.AnswerDates
}

// Do implements aws.HTTPClient.
func (d dating) Do(r *http.Request) (*http.Response, error) {
	answer, err := objectstore.Attempt(r, d.HTTPClient.Do)
	if err == nil {
		d.dates.Answered(answer.Header)
	}
	return answer, err
}
