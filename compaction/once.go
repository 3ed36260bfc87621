package compaction

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/odradek/odradek/topic"
)

// ErrNoEra says that no era is open, so that nothing may be compacted, trimmed or deleted (R4).
var ErrNoEra = errors.New("no era is open")

// Once does all that would be done if this compactor had waited for long, and returns: it takes what counts now into a
// checkpoint, compacts what that holds whoever's turn it is, and trims. It deletes nothing: what nothing needs goes after a
// grace, and only who has watched for so long knows that it is over. What comes meanwhile is left for the next time. A job that
// fails keeps others from nothing; the first error is returned at the end. Error: ErrNoEra.
func (c *Compactor) Once(ctx context.Context) error {
	if !c.cfg.Open() {
		return ErrNoEra
	}
	if err := c.checkpointOnce(ctx); err != nil {
		return err
	}
	c.groups.alone(true)
	defer c.groups.alone(false)
	var failed error
	for idle := 0; idle < 2 && ctx.Err() == nil; { // what was left out for want of memory is looked at anew
		did, err := c.Compact(ctx)
		switch {
		case errors.Is(err, ErrLost):
			idle = 0 // others work too
		case err != nil:
			failed = errors.Join(failed, err)
		case did:
			idle = 0
		default:
			idle++
		}
	}
	for range 2 { // TRIM goes up to the second newest verified checkpoint (G2)
		if err := c.Trim(ctx); err != nil {
			return errors.Join(failed, err)
		}
		if !c.owed[0].Load() {
			break
		}
		if err := c.checkpointOnce(ctx); err != nil {
			return errors.Join(failed, err)
		}
	}
	return errors.Join(failed, ctx.Err())
}

// checkpointOnce verifies the checkpoint that waits for it, and makes another one of what came since.
func (c *Compactor) checkpointOnce(ctx context.Context) error {
	for _, build := range []bool{false, true} {
		if build {
			_, err := c.Build(ctx)
			if errors.Is(err, ErrNothing) || errors.Is(err, ErrLost) {
				err = nil
			}
			if err != nil {
				return err
			}
		}
		all := c.log.State().Checkpoints()
		if len(all) == 0 || all[len(all)-1].Verified {
			continue
		}
		err := c.Verify(ctx, all[len(all)-1])
		if build && err != nil && !errors.Is(err, ErrLost) {
			return fmt.Errorf("verify checkpoint at %d: %w", all[len(all)-1].Control, err)
		}
	}
	return nil
}

// alone says whether all groups are this agent's, and have waited for long: for Once.
func (g *groups) alone(on bool) { g.once = on }

// idleOf says for how long nothing of a group's slots was swapped in.
func (g *groups) idleOf(owner topic.JournalID, now time.Time, interval time.Duration) time.Duration {
	if g.once {
		return interval
	}
	return now.Sub(g.all[owner].idle)
}
