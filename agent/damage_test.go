package agent

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
)

// Damage ends the process only when start after start meets it, for a while: on the way to one, bits turn.
func TestDamage_LastsWhenEveryStartMeetsIt(t *testing.T) {
	at := func(err error) error { return fmt.Errorf("boot: %w: %w", errNotOpened, err) }
	for _, corrupt := range []error{slotlog.ErrCorrupt, segment.ErrCorrupt} {
		synctest.Test(t, func(t *testing.T) {
			var d damage
			after := func(wait time.Duration, err error, want bool) {
				t.Helper()
				time.Sleep(wait)
				if got := d.lasts(err); got != want {
					t.Errorf("%v: lasts %v, want %v", err, got, want)
				}
			}
			after(0, at(corrupt), false)
			after(time.Hour, at(corrupt), false) // one start that took long is not enough
			after(0, at(corrupt), true)
			after(0, at(errors.New("bucket away")), false)
			for range 10 {
				after(time.Second, at(corrupt), false)
			}
			after(20*time.Second, corrupt, false) // it served in between
			after(0, at(corrupt), false)
			after(time.Second, at(corrupt), false)
			after(damageMost, at(corrupt), true)
		})
	}
}
