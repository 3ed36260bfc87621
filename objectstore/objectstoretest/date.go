package objectstoretest

import (
	"testing"
	"time"

	"github.com/odradek/odradek/objectstore"
)

// dateOfNow compares a store's time with what it writes on an object, which is by the same clock.
func dateOfNow(t *testing.T, s objectstore.Store) {
	create(t, s, "dated", objectstore.NewBody([]byte("x")))
	info, err := s.Head(t.Context(), "dated")
	if err != nil {
		t.Fatal(err)
	}
	date, err := objectstore.Date(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if apart := date.Sub(info.Modified).Abs(); apart > 10*time.Second {
		t.Errorf("the store's time is %v, an object made a moment ago is of %v", date, info.Modified)
	}
}
