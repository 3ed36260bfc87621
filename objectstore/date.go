package objectstore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// ErrNoDate says that a store has not told what its clock shows, or not for a while.
var ErrNoDate = errors.New("the store has told no time")

// Dated is a Store that tells what its own clock shows. It is a hint for what goes by time, such as retention (G3): nothing
// that must be right rests on it. All stores here are one; a wrapper passes the question on.
type Dated interface {
	// Date gives the time by the store's clock. Where the answers of a store carry it no request is sent, and ErrNoDate
	// returned when there was none for a while. It is late by what the last answer took, and never early.
	Date(ctx context.Context) (time.Time, error)
}

// Date asks a store for its time; ErrNoDate if it tells none.
func Date(ctx context.Context, s Store) (time.Time, error) {
	d, ok := s.(Dated)
	if !ok {
		return time.Time{}, fmt.Errorf("%w: it has no clock", ErrNoDate)
	}
	return d.Date(ctx)
}

// maxDateAge is how long an answer's time is carried on by this process's own monotonic clock, which stands still while the
// machine sleeps: longer than the pauses between the calls of an idle agent.
const maxDateAge = time.Minute

// AnswerDates keeps the time that a store's answers over HTTP carry. The zero value is ready to use, and safe for concurrent
// use.
type AnswerDates struct {
	mu   sync.Mutex // guards all below
	date time.Time  // of the newest answer
	came time.Time  // when that came, by this process's clock
}

// Answered takes the Date of an answer in. A header without one, or one that is no date, changes nothing.
func (a *AnswerDates) Answered(header http.Header) {
	date, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.date, a.came = date, time.Now()
}

// Date is Dated's: the newest answer's time, carried on.
func (a *AnswerDates) Date(context.Context) (time.Time, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	age := time.Since(a.came) // by the monotonic clock: it does not jump
	if a.came.IsZero() || age > maxDateAge {
		return time.Time{}, ErrNoDate
	}
	return a.date.Add(age), nil
}

// Transport makes an http.RoundTripper whose answers are taken in.
func (a *AnswerDates) Transport(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		answer, err := next.RoundTrip(r)
		if err == nil {
			a.Answered(answer.Header)
		}
		return answer, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
