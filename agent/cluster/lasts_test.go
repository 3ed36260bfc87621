package cluster

import (
	"fmt"
	"testing"

	"github.com/odradek/odradek/metadata"
)

// A pause of R1 is a minute at most and an attempt is made every two seconds: that is one line in the log, not thirty.
func TestLasts_OneReasonIsToldOnce(t *testing.T) {
	paused := func(seconds int) error { return fmt.Errorf("era 3 must wait %d s: %w", seconds, errPaused) }
	away := fmt.Errorf("dial: %w", metadata.ErrUnavailable)
	told := 0
	var before error
	for _, err := range []error{away, away, paused(20), paused(18), paused(16), away, errRebuild, errRebuild, paused(40), paused(38)} {
		if !lasts(before, err) {
			told++
		}
		before = err
	}
	if told != 6 { // away, paused, away, twice rebuilt, paused
		t.Errorf("told %d times, want 6", told)
	}
}
