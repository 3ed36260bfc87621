package hardening

import (
	"os"
	"testing"
	"time"

	"github.com/odradek/odradek/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// either picks by the form of the test.
func either[T any](short, long T) T {
	if harness.Long() {
		return long
	}
	return short
}

// eventually waits until holds says nothing more, and fails with the last it said.
func eventually(t *testing.T, limit time.Duration, holds func() error) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %v", limit, err)
		}
	}
}
