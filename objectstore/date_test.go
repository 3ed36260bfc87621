package objectstore_test

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/objectstore"
)

func TestAnswerDates_CarryOnTheNewestAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a objectstore.AnswerDates
		want := func(want time.Time) {
			t.Helper()
			got, err := a.Date(t.Context())
			if want.IsZero() != errors.Is(err, objectstore.ErrNoDate) || !got.Equal(want) {
				t.Errorf("%v, %v; want %v", got, err, want)
			}
		}
		want(time.Time{})
		theirs := time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC) // far from the clock of this process
		answer := func(date string) { a.Answered(http.Header{"Date": {date}}) }
		answer(theirs.Format(http.TimeFormat))
		want(theirs)
		time.Sleep(40 * time.Second)
		want(theirs.Add(40 * time.Second))
		answer("soon")
		a.Answered(http.Header{})
		want(theirs.Add(40 * time.Second))
		answer(theirs.Add(35 * time.Second).Format(http.TimeFormat)) // as another server of the store says
		want(theirs.Add(35 * time.Second))
		time.Sleep(time.Minute)
		want(theirs.Add(95 * time.Second))
		time.Sleep(time.Second)
		want(time.Time{})
	})
}
